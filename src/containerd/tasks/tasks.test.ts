import assert from "node:assert/strict";
import { existsSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { codeOf } from "../../platform/errors.ts";
import {
  createTask,
  createTaskAhead,
  type Engine,
  makeContainer,
  openEngine,
  runTask,
  until,
} from "./engine-fixture.ts";

let engine: Engine;
before(async () => {
  engine = await openEngine();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

const cgroup = (id: string): string => `/sys/fs/cgroup/memory/hull-test/${id}`;
const mounts = (): string => readFileSync("/proc/self/mountinfo", "utf8");

/** Nothing of a deleted task is left. */
async function gone(id: string): Promise<void> {
  const { bundle, shimSocket, pauseSocket } = engine.paths(id);
  await until("bundle, sockets, cgroup and mount are gone", () => {
    const left = [bundle, shimSocket, pauseSocket, cgroup(id)].filter((path) => existsSync(path));
    return left.length === 0 && !mounts().includes(`${engine.directory}/data/overlay2`);
  });
}

async function remove(id: string): Promise<void> {
  await engine.client.taskExtras.delete({ containerId: id });
  await gone(id);
  await engine.client.containers.delete({ id });
  await engine.client.snapshots.remove({ snapshotter: "overlay2", key: id });
}

test("a task runs from create to delete, its events in order, and leaves nothing", async () => {
  engine.seen.length = 0;
  const id = await makeContainer(engine, { args: ["true"] });
  assert.equal(await runTask(engine, id), 0);
  await remove(id);
  await until("all events are there", () => engine.seen.length === 4);
  assert.deepEqual(engine.seen, ["create", "start", "exit=0", "delete=0"]);
});

test("exit codes are those of the process", async () => {
  const id = await makeContainer(engine, { args: ["sh", "-c", "exit 7"] });
  assert.equal(await runTask(engine, id), 7);
  await remove(id);
});

test("output goes to the json-file of the log record", async () => {
  const id = await makeContainer(engine, { args: ["sh", "-c", "echo out; echo err >&2"] });
  const log = join(engine.directory, "task.log");
  await runTask(engine, id, log);
  await remove(id);
  const lines = readFileSync(log, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { log: string; stream: string });
  assert.deepEqual(lines.map(({ log: text, stream }) => `${stream} ${text}`).sort(), ["stderr err\n", "stdout out\n"]);
});

test("a killed task exits with 128 and the signal; killing it again finds nothing", async () => {
  const id = await makeContainer(engine, { args: ["sleep", "60"] });
  await createTask(engine, id);
  await engine.client.tasks.start({ containerId: id });
  await assert.rejects(
    engine.client.taskExtras.delete({ containerId: id }),
    (error) => codeOf(error) === "failed-precondition",
  );
  await engine.client.tasks.kill({ containerId: id, signal: 9 });
  assert.equal((await engine.client.tasks.wait({ containerId: id })).exitStatus, 137);
  await assert.rejects(
    engine.client.tasks.kill({ containerId: id, signal: 9 }),
    (error) => codeOf(error) === "not-found",
  );
  await remove(id);
});

test("a missing executable fails the creation in runc's words and leaves nothing", async () => {
  const id = await makeContainer(engine, { args: ["nosuchthing"] });
  await assert.rejects(createTask(engine, id), /exec: "nosuchthing": executable file not found in \$PATH/);
  await gone(id);
  await engine.client.containers.delete({ id });
});

test("an exec has its own exit code and events, before init's", async () => {
  engine.seen.length = 0;
  const id = await makeContainer(engine, { args: ["sleep", "60"] });
  await createTask(engine, id);
  await engine.client.tasks.start({ containerId: id });
  const process = Buffer.from(
    JSON.stringify({ args: ["sh", "-c", "exit 5"], cwd: "/", env: ["PATH=/bin"], user: { uid: 0, gid: 0 } }),
  );
  await engine.client.taskExtras.exec({ containerId: id, execId: "e1", process });
  await engine.client.tasks.start({ containerId: id, execId: "e1" });
  assert.equal((await engine.client.tasks.wait({ containerId: id, execId: "e1" })).exitStatus, 5);
  await engine.client.tasks.deleteProcess({ containerId: id, execId: "e1" });
  await engine.client.tasks.kill({ containerId: id, signal: 15 });
  await engine.client.tasks.kill({ containerId: id, signal: 9 }).catch(() => undefined);
  await engine.client.tasks.wait({ containerId: id });
  await remove(id);
  await until("all events are there", () => engine.seen.includes("delete=137"));
  assert.deepEqual(engine.seen, [
    "create",
    "start",
    "exec-added e1",
    "exec-started e1",
    "exit e1=5",
    "exit=137",
    "delete=137",
  ]);
});

test("two creations at once: one wins", async () => {
  const id = await makeContainer(engine, { args: ["sleep", "60"] });
  const results = await Promise.allSettled([createTask(engine, id), createTask(engine, id)]);
  assert.deepEqual(results.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
  await remove(id);
});

test("pause and resume; pids and figures", async () => {
  const id = await makeContainer(engine, { args: ["sleep", "60"], memoryBytes: 64 << 20 });
  await createTask(engine, id);
  const { pid } = await engine.client.tasks.start({ containerId: id });
  const { processes } = await engine.client.tasks.listPids({ containerId: id });
  assert.deepEqual(
    processes.map((process) => process.pid),
    [pid],
  );
  const stats = JSON.parse(Buffer.from((await engine.client.taskExtras.stats({ containerId: id })).json).toString());
  assert.equal(stats.memory.limit, 64 << 20);
  await engine.client.tasks.pause({ containerId: id });
  assert.equal((await engine.client.taskExtras.info({ containerId: id })).state, "paused");
  await assert.rejects(
    engine.client.taskExtras.exec({ containerId: id, execId: "x", process: Buffer.from("{}") }),
    (error) => codeOf(error) === "failed-precondition",
  );
  await engine.client.tasks.resume({ containerId: id });
  await engine.client.tasks.kill({ containerId: id, signal: 9 });
  await engine.client.tasks.wait({ containerId: id });
  await remove(id);
});

test("a task whose network is pending is made as far as it can be, and runs once the network is there", async () => {
  const id = await makeContainer(engine, { args: ["true"] });
  const creating = createTaskAhead(engine, id);
  await until("its bundle and cgroup are there", () => existsSync(engine.paths(id).bundle) && existsSync(cgroup(id)));
  assert.equal(existsSync(engine.paths(id).pauseSocket), false);
  await engine.client.taskExtras.provideNetwork({ containerId: id });
  await creating;
  await engine.client.tasks.start({ containerId: id });
  assert.equal((await engine.client.tasks.wait({ containerId: id })).exitStatus, 0);
  await remove(id);
});

test("a network that can't be made fails the creation with its reason and leaves nothing", async () => {
  const id = await makeContainer(engine, { args: ["true"] });
  const creating = createTaskAhead(engine, id);
  const failed = assert.rejects(creating, /port 80 is taken/);
  await until("its bundle is there", () => existsSync(engine.paths(id).bundle));
  await engine.client.taskExtras.provideNetwork({ containerId: id, failure: "port 80 is taken" });
  await failed;
  await gone(id);
  const again = engine.client.taskExtras.provideNetwork({ containerId: id });
  await assert.rejects(again, (error) => codeOf(error) === "not-found");
});

test("a network that nobody tells of fails the creation at its deadline and leaves nothing", async () => {
  const id = await makeContainer(engine, { args: ["true"] });
  await assert.rejects(createTaskAhead(engine, id, 100), (error) => codeOf(error) === "deadline-exceeded");
  await gone(id);
});

test("a kept sandbox gives the next task the same network namespace", async () => {
  const id = await makeContainer(engine, { args: ["sleep", "60"] });
  const inode = async (): Promise<string> => {
    await createTask(engine, id);
    const { pid } = await engine.client.tasks.start({ containerId: id });
    const link = readlinkSync(`/proc/${pid}/ns/net`);
    await engine.client.tasks.kill({ containerId: id, signal: 9 });
    await engine.client.tasks.wait({ containerId: id });
    return link;
  };
  const first = await inode();
  await engine.client.taskExtras.delete({ containerId: id, keepSandbox: true });
  const { pausePid } = await engine.client.taskExtras.info({ containerId: id }).catch(() => ({ pausePid: 0 }));
  assert.equal(pausePid, 0);
  assert.equal(await inode(), first);
  await remove(id);
});

test("a new daemon adopts what runs and reports an exit that happened meanwhile once", async () => {
  const [running, ended] = [
    await makeContainer(engine, { args: ["sleep", "60"] }),
    await makeContainer(engine, { args: ["sh", "-c", "sleep 0.3; exit 9"] }),
  ];
  for (const id of [running, ended]) {
    await createTask(engine, id);
    await engine.client.tasks.start({ containerId: id });
  }
  const before = await engine.client.taskExtras.info({ containerId: running });
  engine.seen.length = 0;
  await engine.stop();
  await until("it has ended", () => existsSync(join(engine.paths(ended).bundle, "exit.json")));
  await engine.start();
  const info = await engine.client.taskExtras.info({ containerId: running });
  assert.deepEqual([info.state, info.pid], ["running", before.pid]);
  assert.equal((await engine.client.tasks.wait({ containerId: ended })).exitStatus, 9);
  await engine.restart();
  assert.equal((await engine.client.taskExtras.info({ containerId: ended })).exit?.exitStatus, 9);
  await engine.client.tasks.kill({ containerId: running, signal: 9 });
  await engine.client.tasks.wait({ containerId: running });
  await engine.client.taskExtras.delete({ containerId: ended });
  await remove(running);
  await gone(ended);
  assert.ok(engine.seen.filter((event) => event === "exit=9").length <= 1, engine.seen.join());
});

test("a killed shim costs nothing: the process lives, its exit is reported with its code", async () => {
  const id = await makeContainer(engine, { args: ["sh", "-c", "sleep 0.5; exit 4"] });
  await createTask(engine, id);
  const { pid } = await engine.client.tasks.start({ containerId: id });
  const { shimPid } = await engine.client.taskExtras.info({ containerId: id });
  process.kill(shimPid, "SIGKILL");
  assert.equal(existsSync(`/proc/${pid}`), true);
  assert.equal((await engine.client.tasks.wait({ containerId: id })).exitStatus, 4);
  await remove(id);
});

test("shim and pause killed together: what is left is ended and counted as killed", async () => {
  const id = await makeContainer(engine, { args: ["sleep", "60"] });
  await createTask(engine, id);
  await engine.client.tasks.start({ containerId: id });
  const { shimPid, pausePid } = await engine.client.taskExtras.info({ containerId: id });
  process.kill(pausePid, "SIGKILL");
  process.kill(shimPid, "SIGKILL");
  assert.equal((await engine.client.tasks.wait({ containerId: id })).exitStatus, 137);
  await remove(id);
});

test("thirty tasks at once start and end", async () => {
  const ids = await Promise.all(Array.from({ length: 30 }, () => makeContainer(engine, { args: ["true"] })));
  const codes = await Promise.all(ids.map((id) => runTask(engine, id)));
  assert.deepEqual(new Set(codes), new Set([0]));
  for (const id of ids) await engine.client.taskExtras.delete({ containerId: id });
  for (const id of ids) await gone(id);
});
