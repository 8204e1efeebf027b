import assert from "node:assert/strict";
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { socketName } from "../../src/keel/shim-client.ts";
import { processesOf, run, TestEngine, until } from "../engine.ts";
import { answers, comm, daemon, fastestOf, isAlive, opens, parent, pidOf, timeUntil } from "../survivors.ts";
import { root } from "../tidy/source-tree.ts";

const MOST_MS = 300;

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
  await engine.ok("network", "create", "names");
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

const roots = (): string[] => ["--data-root", engine.dataRoot, "--exec-root", engine.execRoot];

test("a second hulld on the same roots is refused, and the first goes on", async () => {
  const second = await run([join(root, "dist/bin/hulld"), ...roots(), "--host", `unix://${engine.path("2.sock")}`], {});
  assert.equal(second.code, 1);
  assert.match(second.stderr, /in use|another|locked/);
  assert.ok(await answers(engine.socket));
  assert.ok(!existsSync(engine.path("2.sock")));
});

test(`SIGKILL of hulld: the next one answers within ${MOST_MS} ms and has lost nothing`, async () => {
  const id = await engine.ok("run", "-d", "-p", "127.0.0.1::80", "busybox", "httpd", "-f", "-p", "80");
  const port = Number((await engine.ok("port", id, "80")).split(":").at(-1));
  const pid = await pidOf(engine, id);
  const others = ["hull-containerd", "hull-netd", "keel-ports"].map((name) => daemon(engine, name));
  const ms = await fastestOf(5, async () => {
    await engine.endDaemon("SIGKILL");
    assert.ok(await opens(port), "the port serves without hulld");
    const started = engine.startDaemon();
    const time = await timeUntil(() => answers(engine.socket));
    await started;
    return time;
  });
  assert.ok(ms < MOST_MS, `${Math.round(ms)} ms`);
  assert.equal(await pidOf(engine, id), pid);
  assert.deepEqual(
    ["hull-containerd", "hull-netd", "keel-ports"].map((name) => daemon(engine, name)),
    others,
  );
  await engine.ok("rm", "-f", id);
});

test("SIGTERM of hulld leaves processes, pauses, shims, ports and names; the next hulld adopts all of it", async () => {
  const peer = await engine.ok("run", "-d", "--network", "names", "--name", "peer", "busybox", "sleep", "1000");
  const ask =
    "httpd -p 80; while :; do nslookup peer >/dev/null && date +%s >/answered || touch /failed; sleep 0.1; done";
  const options = ["--network", "names", "--restart", "always", "-p", "127.0.0.1::80"];
  const id = await engine.ok("run", "-d", ...options, "busybox", "sh", "-c", ask);
  const port = Number((await engine.ok("port", id, "80")).split(":").at(-1));
  const pid = await pidOf(engine, id);
  const kept = [pid, parent(pid), parent(parent(pid)), daemon(engine, "hull-netd"), daemon(engine, "keel-ports")];
  await until("the port opens", () => opens(port));
  await engine.endDaemon("SIGTERM");
  assert.ok(!processesOf(engine.execRoot).some((one) => isAlive(one) && comm(one) === "hull-containerd"));
  assert.deepEqual(kept.filter(isAlive), kept);
  assert.ok(await opens(port));
  const files = `/proc/${pid}/root`;
  rmSync(`${files}/answered`, { force: true });
  await until("names are answered without hulld", () => existsSync(`${files}/answered`));
  await engine.startDaemon();
  await until("it is adopted", async () => (await engine.docker("exec", id, "true")).code === 0);
  assert.equal(await engine.inspect(id, "{{.State.Pid}} {{.RestartCount}}"), `${pid} 0`);
  assert.deepEqual(kept.filter(isAlive), kept);
  assert.ok(!existsSync(`${files}/failed`), "no name was left without an answer");
  await engine.ok("rm", "-f", id, peer);
});

test("deleted socket files are back within a second", async () => {
  for (const path of [engine.socket, `${engine.execRoot}/containerd/containerd.sock`, `${engine.execRoot}/netd.sock`]) {
    rmSync(path);
    const ms = await timeUntil(async () => existsSync(path));
    assert.ok(ms < 1000, `${path}: ${ms} ms`);
  }
  assert.ok(await answers(engine.socket));
});

test("a restart policy starts a process again until it gives up", async () => {
  const id = await engine.ok("run", "-d", "--restart", "on-failure:3", "busybox", "sh", "-c", "sleep 0.1; exit 1");
  await until(
    "it gives up after three",
    async () => (await engine.inspect(id, "{{.RestartCount}} {{.State.Status}}")) === "3 exited",
    20_000,
  );
  await engine.ok("rm", id);
});

test("an engine that is stopped right after rm leaves no cgroup, no shim and no bundle", async () => {
  const ids = await Promise.all([1, 2, 3].map(() => engine.ok("run", "-d", "busybox", "sleep", "1000")));
  const hierarchies = readdirSync("/sys/fs/cgroup", { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const cgroups = () =>
    hierarchies.flatMap(({ name }) => ids.map((id) => `/sys/fs/cgroup/${name}/hull/${id}`)).filter(existsSync);
  assert.ok(cgroups().length > 0);
  await engine.ok("rm", "-f", ...ids);
  await engine.endDaemon("SIGTERM");
  assert.deepEqual(cgroups(), []);
  assert.deepEqual(ids.flatMap(processesOf), []);
  const sockets = ids.map((id) => `${engine.execRoot}/s/${socketName("moby", id)}`);
  assert.deepEqual(sockets.filter(existsSync), []);
  await engine.startDaemon();
});

test("engine stop --containers ends everything, whatever its restart policy", async () => {
  const place = ["--data-root", engine.path("d2"), "--exec-root", engine.path("r2")];
  const host = `unix://${engine.path("r2")}/docker.sock`;
  const hull = (...args: string[]) => engine.must(run([join(root, "dist/bin/hull"), ...args], { DOCKER_HOST: host }));
  await hull("engine", "start", ...place, "--", "--bridge", "none");
  await hull("image", "make-base");
  const ids = [await hull("run", "-d", "--network", "none", "--restart", "always", "busybox", "sleep", "1000")];
  ids.push(await hull("run", "-d", "--network", "none", "--rm", "busybox", "sleep", "1000"));
  const pids = await Promise.all(ids.map(async (id) => Number(await hull("inspect", "-f", "{{.State.Pid}}", id))));
  const all = [...pids, ...pids.map(parent), ...pids.map((pid) => parent(parent(pid)))];
  await hull("engine", "stop", "--containers", ...place);
  await until("every process has ended", () => all.every((pid) => !isAlive(pid)));
  assert.deepEqual(processesOf(engine.path("r2")).filter(isAlive), []);
});
