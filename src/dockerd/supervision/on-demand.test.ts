import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { BUILDKITD_SOCKET } from "../../buildkit/api.ts";
import { ask, hold, jsonOf } from "../../buildkit/client.ts";
import { call, connectContainerd } from "../../containerd/client.ts";
import { codeOf, messageOf } from "../../platform/errors.ts";
import { openLog } from "../../platform/log.ts";
import { keelPath } from "../../platform/paths.ts";
import { SupervisedDaemon } from "./daemon.ts";
import { OnDemandDaemon } from "./on-demand.ts";
import { isAlive } from "./process.ts";

let root: string;
/** The builder asks it for its storage driver. */
let containerd: SupervisedDaemon;
const log = openLog({ name: "test", level: "fatal" });

before(() => {
  root = mkdtempSync("/var/tmp/hull-demand-");
  const socketPath = join(root, "e/containerd/containerd.sock");
  const client = connectContainerd({ socketPath, namespace: "moby" });
  containerd = new SupervisedDaemon({
    name: "hull-containerd",
    socketPath,
    args: ["--data-root", join(root, "d"), "--exec-root", join(root, "e"), "--keel", keelPath()],
    logDirectory: join(root, "d/logs"),
    askPid: async () => (await client.daemon.status({}, call({ timeoutMs: 5000 }))).pid,
    onUp: () => {},
    log,
  });
  containerd.start();
});
after(async () => {
  await containerd.terminate(10_000);
  rmSync(root, { recursive: true, force: true });
});

const demand = (...more: string[]): OnDemandDaemon =>
  new OnDemandDaemon({
    name: "hull-buildkitd",
    socketPath: join(root, "e", BUILDKITD_SOCKET),
    args: () => ["--data-root", join(root, "d"), "--exec-root", join(root, "e"), "--keel", keelPath(), ...more],
    logDirectory: join(root, "d/logs"),
    hold,
    log,
  });

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!holds()) {
    assert.ok(Date.now() < deadline, `still waiting: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function pidOf(daemon: OnDemandDaemon): Promise<number> {
  using connection = await ask(await daemon.connect(), { kind: "ping" });
  return (await jsonOf<{ pid: number }>(connection)).pid;
}

test("nothing runs until somebody asks; those who ask at once get the same daemon; it ends with the engine", async () => {
  const daemon = demand();
  await daemon.adopt();
  assert.equal(daemon.status, undefined);
  const pids = await Promise.all([pidOf(daemon), pidOf(daemon), pidOf(daemon)]);
  assert.equal(new Set(pids).size, 1);
  assert.deepEqual(daemon.status, { name: "hull-buildkitd", pid: pids[0], state: "running", restarts: 0 });
  await daemon.terminate(10_000);
  assert.ok(!isAlive(pids[0]!));
});

test("one that was killed is started again by the next who asks", async () => {
  const daemon = demand();
  const killed = await pidOf(daemon);
  process.kill(killed, "SIGKILL");
  await until("its end is seen", () => daemon.status === undefined);
  const next = await pidOf(daemon);
  assert.notEqual(next, killed);
  await daemon.terminate(10_000);
});

test("a later engine keeps the one that runs; with other arguments it is ended", async () => {
  const pid = await pidOf(demand());
  const same = demand();
  await same.adopt();
  assert.equal(same.status?.pid, pid);
  const other = demand("--log-level", "debug");
  await other.adopt();
  await until("it has ended", () => !isAlive(pid));
  const next = await pidOf(other);
  assert.notEqual(next, pid);
  await other.terminate(10_000);
});

test("it ends itself when it has had nothing to do for a while", async () => {
  const daemon = demand("--idle-timeout", "1");
  const pid = await pidOf(daemon);
  await until("it has ended by itself", () => !isAlive(pid));
  await until("its end is seen", () => daemon.status === undefined);
  await daemon.terminate(10_000);
});

test("one that cannot start says why", async () => {
  const daemon = demand("--max-concurrent-builds", "many");
  await assert.rejects(daemon.connect(), (error) => {
    assert.equal(codeOf(error), "unavailable");
    assert.match(messageOf(error), /invalid argument "many" for "--max-concurrent-builds"/);
    return true;
  });
});
