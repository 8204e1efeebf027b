import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { type ContainerdClient, call, connectContainerd } from "../../containerd/client.ts";
import { type LogLevel, openLog } from "../../platform/log.ts";
import { keelPath } from "../../platform/paths.ts";
import { SupervisedDaemon } from "./daemon.ts";
import { isAlive } from "./process.ts";

let root: string;
let containerd: ContainerdClient;
const socketPath = () => join(root, "e/containerd/containerd.sock");

before(() => {
  root = mkdtempSync("/tmp/hull-sup-");
  containerd = connectContainerd({ socketPath: socketPath(), namespace: "moby" });
});
after(async () => {
  await containerd[Symbol.asyncDispose]();
  rmSync(root, { recursive: true, force: true });
});

const log = openLog({ name: "test", level: "fatal" });

function supervise(level: LogLevel): SupervisedDaemon {
  const roots = ["--data-root", join(root, "d"), "--exec-root", join(root, "e")];
  const daemon = new SupervisedDaemon({
    name: "hull-containerd",
    socketPath: socketPath(),
    args: [...roots, "--keel", keelPath(), "--log-level", level],
    logDirectory: join(root, "d/logs"),
    askPid: async () => (await containerd.daemon.status({}, call({ timeoutMs: 5000 }))).pid,
    onUp: () => {},
    log,
  });
  daemon.start();
  return daemon;
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 15_000;
  while (!holds()) {
    assert.ok(Date.now() < deadline, `still waiting: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const running = (daemon: SupervisedDaemon, notPid = 0) =>
  until(`${daemon.description.name} runs`, () => daemon.state === "running" && daemon.pid !== notPid);

test("a daemon is started, started again when killed, adopted by the next supervisor and ended", {
  timeout: 60_000,
}, async () => {
  const first = supervise("info");
  await running(first);
  const killed = first.pid;
  process.kill(killed, "SIGKILL");
  await running(first, killed);
  const survivor = first.pid;
  first.stop();
  assert.ok(isAlive(survivor), "it goes on without its supervisor");

  const second = supervise("info");
  await running(second);
  assert.equal(second.pid, survivor);
  second.stop();

  const third = supervise("debug");
  await running(third);
  assert.notEqual(third.pid, survivor, "other settings need another process");
  assert.ok(!isAlive(survivor));
  await third.terminate(5000);
  assert.ok(!isAlive(third.pid));
});

test("a daemon that is told to end while it starts ends too", { timeout: 60_000 }, async () => {
  const daemon = supervise("info");
  await until("its process is there", () => daemon.isStarting && processes().length === 1);
  await daemon.terminate(5000);
  assert.deepEqual(processes(), []);
});

test("a daemon that is just dying is not waited for: its socket takes a connection and breaks it", {
  timeout: 60_000,
}, async () => {
  const dying = createServer((socket) => {
    socket.destroy();
    dying.close();
  });
  mkdirSync(dirname(socketPath()), { recursive: true });
  rmSync(socketPath(), { force: true });
  await new Promise<void>((resolve) => dying.listen(socketPath(), resolve));
  const daemon = supervise("info");
  await running(daemon);
  assert.equal(daemon.restarts, 0);
  await daemon.terminate(5000);
});

const processes = (): string[] =>
  readdirSync("/proc").filter(
    (pid) => /^\d+$/.test(pid) && isAlive(Number(pid)) && commandOf(pid).includes(join(root, "e")),
  );

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return ""; // It ended in between.
  }
}
