import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, constants, existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { type Operation, operation } from "./plan.ts";
import { KeelServe, type LaunchRequest } from "./serve.ts";
import { pauseClient, ShimClient, socketName } from "./shim-client.ts";
import { alive, stageOf, until } from "./shim-harness.ts";

const directory = mkdtempSync(join(tmpdir(), "keel-launch-"));
const serve = await KeelServe.open();
after(async () => {
  await serve[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

let count = 0;
function launchOf(sections: { host?: Operation[]; pause?: Operation[]; stage?: Operation[] }): LaunchRequest {
  const id = `launch${process.pid}x${++count}`;
  const stateDir = mkdtempSync(join(directory, "state-"));
  const socket = socketName("test", id);
  const container = {
    id,
    namespace: "test",
    stateDir,
    pauseSocket: join(directory, "p", socket),
    shimSocket: join(directory, "s", socket),
  };
  const stage = stageOf(["/bin/sleep", "100"], { pidNamespace: true });
  return { container, stdio: {}, host: [], pause: [], stage, ...sections };
}

async function end(asked: LaunchRequest, pids: { pausePid: number; pid: number }): Promise<void> {
  process.kill(pids.pid, "SIGKILL");
  const shim = await ShimClient.open(asked.container.shimSocket);
  await shim.wait("");
  await shim.shutdown({ pause: true });
  shim.close();
  await until("pause has ended", () => !alive(pids.pausePid));
}

/** Processes whose arguments name the container. */
const processesOf = (id: string): string[] =>
  readdirSync("/proc").filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(id);
    } catch {
      return false;
    }
  });

const CLONE_NEWUTS = 0x04000000;
const nothing = (cause: string): Operation => operation("rmdir", { path: "/absent" }, { tolerate: ["ENOENT"], cause });
const wrong = (cause: string): Operation => operation("rmdir", { path: "/absent" }, { cause });

test("a launch runs its sections in order and answers with pause, shim and init, each shown by its role", async () => {
  const unshare = operation("unshare", { flags: CLONE_NEWUTS });
  const asked = launchOf({ host: [nothing("host")], pause: [unshare, nothing("pause")] });
  const launched = await serve.launch(asked);
  try {
    const names = launched.steps().map((step) => step.name);
    assert.deepEqual(names, ["rmdir", "unshare", "rmdir", "clone", "lookPath"]);
    const read = (pid: number, file: string) => readFileSync(`/proc/${pid}/${file}`, "utf8");
    assert.equal(read(launched.pausePid, "comm"), "pause\n");
    assert.match(read(launched.pausePid, "cmdline"), /^\/pause\0/);
    assert.match(read(launched.shimPid, "cmdline"), new RegExp(`^keel shim test ${asked.container.id}`));
    const parent = (pid: number) => Number(/^PPid:\s+(\d+)/m.exec(read(pid, "status"))![1]);
    assert.equal(parent(launched.pid), launched.shimPid);
    assert.equal(parent(launched.shimPid), launched.pausePid);
    assert.notEqual(parent(launched.pausePid), serve.pid);
  } finally {
    await end(asked, launched);
  }
});

const failures: readonly (readonly [string, Partial<LaunchRequest>, RegExp])[] = [
  ["host", { host: [nothing("a"), wrong("in host")] }, /rmdir \/absent: ENOENT \(in host\), operation 1 of/],
  ["pause", { host: [nothing("a")], pause: [wrong("in pause")] }, /ENOENT \(in pause\), operation 1 of/],
  [
    "stage",
    { host: [nothing("a")], pause: [nothing("b")], stage: [wrong("in stage")] },
    /\(in stage\), operation 2 of 3/,
  ],
];
for (const [section, sections, text] of failures) {
  test(`a failure in the ${section} section is named by its place in the whole and leaves no process`, async () => {
    const asked = { ...launchOf({}), ...sections };
    await assert.rejects(serve.launch(asked), text);
    await until("no process is left", () => processesOf(asked.container.id).length === 0);
    const answers = () => pauseClient.info(asked.container.pauseSocket).then(Boolean, () => false);
    await until("pause has ended", async () => !(await answers()));
  });
}

test("an aborted launch leaves no process", async () => {
  const asked = launchOf({});
  const abort = new AbortController();
  const launching = serve.launch(asked, abort.signal);
  abort.abort();
  await assert.rejects(launching, /cancelled/);
  await until("no process is left", () => processesOf(asked.container.id).length === 0);
});

test("a launch that was begun before its serve was killed leaves nothing: nobody would know of it", async () => {
  const mine = await KeelServe.open();
  const gate = join(directory, "gate");
  execFileSync("mkfifo", [gate]);
  const blocked = operation("open", { slot: 1, flags: 0, path: gate });
  const asked = launchOf({ stage: [blocked, ...stageOf(["/bin/sleep", "100"], { pidNamespace: true })] });
  const launching = mine.launch(asked);
  await until("the launch is under way", () => processesOf(asked.container.id).length > 0);
  process.kill(mine.pid, "SIGKILL");
  await assert.rejects(launching, { code: "unavailable" });
  await until("the launch goes on", () => {
    try {
      closeSync(openSync(gate, constants.O_WRONLY | constants.O_NONBLOCK));
      return true;
    } catch {
      return false; // ENXIO: it has not come there yet.
    }
  });
  await until("no process is left", () => processesOf(asked.container.id).length === 0);
  await until("pause has ended", () => !existsSync(asked.container.pauseSocket));
  assert.ok(!existsSync(asked.container.shimSocket) && !existsSync(join(asked.container.stateDir, "shim.json")));
  await mine[Symbol.asyncDispose]();
});

test("containers outlive the serve that launched them", async () => {
  const mine = await KeelServe.open();
  const asked = launchOf({});
  const launched = await mine.launch(asked);
  await mine[Symbol.asyncDispose]();
  assert.ok(alive(launched.pausePid) && alive(launched.shimPid) && alive(launched.pid));
  await end(asked, launched);
});

test("twenty launches at once all come up", async () => {
  const asked = Array.from({ length: 20 }, () => launchOf({}));
  const launched = await Promise.all(asked.map((one) => serve.launch(one)));
  assert.equal(new Set(launched.map((one) => one.pid)).size, 20);
  await Promise.all(asked.map((one, i) => end(one, launched[i]!)));
});
