import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { cgroupPlace, directoriesOf } from "../../runc/cgroup/place.ts";
import { readHostFacts } from "../../runc/host-facts.ts";
import { FakeNetworks, TestBuilder } from "./harness.ts";

let builder: TestBuilder;
before(async () => {
  builder = await TestBuilder.open();
});
after(() => builder[Symbol.asyncDispose]());

/** Processes whose command line has this word. */
const processesWith = (word: string): string[] =>
  readdirSync("/proc").filter((pid) => {
    if (!/^\d+$/.test(pid) || pid === `${process.pid}`) return false;
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(word);
    } catch {
      return false; // it has ended meanwhile
    }
  });

const cgroupsOf = (parent: string): string[] =>
  directoriesOf(cgroupPlace(readHostFacts().cgroups, parent, "")).flatMap((directory) =>
    existsSync(directory)
      ? readdirSync(directory, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []))
      : [],
  );

test("an abort kills everything that the command has started and leaves nothing of it", async () => {
  const abort = new AbortController();
  const word = `sleep-abort-${process.pid}`;
  const script = `(trap '' TERM; while true; do sleep 600 ${word}; done) & echo started; sleep 600; : ${word}`;
  const onOutput = (): void => abort.abort();
  await assert.rejects(builder.run(script, { signal: abort.signal, onOutput }), { code: "cancelled" });
  assert.deepEqual(processesWith(word), []);
  await builder.runner.settled();
  assert.deepEqual(builder.warnings, []);
  assert.deepEqual([...builder.networks.connected], []);
  assert.deepEqual(cgroupsOf(builder.cgroupParent), []);
  assert.deepEqual(readdirSync(join(builder.directory, "exec/buildkit/run")), []);
});

test("an abort before the start is told at once, and nothing is made", async () => {
  const layer = builder.layer();
  await assert.rejects(builder.run("true", { layer, signal: AbortSignal.abort() }));
  assert.deepEqual(readdirSync(layer.upper), []);
});

test("an abort is not delayed by a reader that never takes the output", async () => {
  const abort = new AbortController();
  const reading = Promise.withResolvers<void>();
  const onOutput = (): Promise<void> => {
    reading.resolve();
    return new Promise(() => {});
  };
  const running = builder.run("busybox yes", { signal: abort.signal, onOutput });
  await reading.promise;
  abort.abort();
  await assert.rejects(running, { code: "cancelled" });
});

test("a reader that fails ends the command with its failure", async () => {
  const onOutput = (): void => {
    throw new Error("the log is full");
  };
  await assert.rejects(builder.run("echo x; sleep 600", { onOutput }), /the log is full/);
});

test("output comes in pieces of at most 64 KiB, whole, and waits for its reader", async () => {
  let total = 0;
  let longest = 0;
  let under = 0;
  const onOutput = async (_: 1 | 2, data: Uint8Array): Promise<void> => {
    assert.equal(under++, 0);
    await new Promise((resolve) => setImmediate(resolve));
    under--;
    total += data.length;
    longest = Math.max(longest, data.length);
  };
  await builder.run("busybox dd if=/dev/zero bs=65536 count=64 2>/dev/null", { onOutput });
  assert.equal(total, 64 * 65536);
  assert.ok(longest <= 65536, `${longest}`);
});

test("when its supervisor is killed the command goes too", async () => {
  const word = `sleep-orphan-${process.pid}`;
  const own = new Set(childrenOf(process.pid));
  const onOutput = (): void => {
    const supervisor = childrenOf(process.pid).find((pid) => !own.has(pid));
    process.kill(supervisor!, "SIGKILL");
  };
  const ran = await builder.run(`echo started; sleep 600; : ${word}`, { onOutput });
  assert.equal(ran.exitCode, 137);
  assert.deepEqual(processesWith(word), []);
});

const childrenOf = (pid: number): number[] =>
  readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").split(" ").filter(Boolean).map(Number),
  );

/** A builder in a process of its own, which runs a command until it is killed. */
async function doomedBuilder(directory: string, word: string): Promise<ChildProcess> {
  const program = `
    import { doomed } from ${JSON.stringify(join(import.meta.dirname, "harness.ts"))};
    await doomed(${JSON.stringify({ directory, cgroupParent: builder.cgroupParent })}, "echo started; sleep 600; : ${word}");`;
  const child = spawn(process.execPath, ["-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, TMPDIR: directory },
  });
  await new Promise((resolve) => child.stdout!.once("data", resolve));
  return child;
}

test("a command ends with its builder, and the next one takes away what is left of it", async () => {
  const word = `sleep-doomed-${process.pid}`;
  const directory = join(builder.directory, "doomed");
  mkdirSync(directory);
  const child = await doomedBuilder(directory, word);
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await gone;
  for (const end = Date.now() + 5000; processesWith(word).length > 0; ) {
    assert.ok(Date.now() < end, "the command lives on");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const [left] = readdirSync(join(directory, "exec/buildkit/run"));
  assert.ok(left);
  const networks = new FakeNetworks();
  const next = builder.newRunner(networks, directory);
  await next.recover();
  await next.settled();
  assert.deepEqual(networks.forgotten, [left]);
  assert.deepEqual(readdirSync(join(directory, "exec/buildkit/run")), []);
  assert.deepEqual(cgroupsOf(builder.cgroupParent), []);
});

test("what can't be given back at a start is told, and tried again at the next one", async () => {
  const directory = join(builder.directory, "doomed-again");
  mkdirSync(join(directory, "exec/buildkit/run/abc"), { recursive: true });
  const networks = new FakeNetworks();
  networks.forget = () => Promise.reject(new Error("nobody is there"));
  await builder.newRunner(networks, directory).recover();
  assert.match(builder.warnings.pop()!, /command abc, whose builder was killed: nobody is there/);
  assert.deepEqual(readdirSync(join(directory, "exec/buildkit/run")), ["abc"]);
  await builder.newRunner(new FakeNetworks(), directory).recover();
  assert.deepEqual(readdirSync(join(directory, "exec/buildkit/run")), []);
});
