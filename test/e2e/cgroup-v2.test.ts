import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { TestEngine } from "../engine.ts";

/** An engine that sees the unified cgroup tree alone, in a mount namespace of its own. */
const onlyUnified = 'umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec "$@"';

const controllers = ["/sys/fs/cgroup/cgroup.controllers", "/sys/fs/cgroup/unified/cgroup.controllers"]
  .filter((path) => existsSync(path))
  .map((path) => readFileSync(path, "utf8"))
  .join(" ");
const skip = /\b(memory|cpu|pids)\b/.test(controllers) && `the unified tree here has controllers: ${controllers}`;

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start({ wrap: ["unshare", "-m", "sh", "-c", onlyUnified, "sh"] });
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

test("the engine says which cgroups it uses", async () => {
  assert.equal(await engine.ok("info", "-f", "{{.CgroupVersion}}"), "2");
});

test("a container runs in a cgroup of its own, which it sees as the root", async () => {
  assert.match(
    await engine.ok("run", "--rm", "busybox", "sh", "-c", "mount | grep cgroup2; cat /proc/self/cgroup"),
    /cgroup2 \(ro[\s\S]*^0::\/$/m,
  );
});

test("pause freezes and unpause thaws", async () => {
  const id = await engine.ok("run", "-d", "busybox", "sleep", "1000");
  await engine.ok("pause", id);
  assert.equal(await engine.inspect(id, "{{.State.Status}}"), "paused");
  await engine.ok("unpause", id);
  assert.equal(await engine.ok("exec", id, "echo", "thawed"), "thawed");
  await engine.ok("rm", "-f", id);
});

test("a device that was not given can be made but not opened", async () => {
  const ran = await engine.docker("run", "--rm", "busybox", "sh", "-c", "mknod /tmp/d b 254 0 && head -c 1 /tmp/d");
  assert.match(ran.stderr, /Operation not permitted/);
  assert.equal(await engine.ok("run", "--rm", "busybox", "sh", "-c", "head -c 3 /dev/zero | wc -c"), "3");
});

test("limits whose controllers are missing here are left out, with Docker's warnings", { skip }, async () => {
  const ran = await engine.docker(
    ...["run", "--rm", "-m", "64m", "--pids-limit", "50", "--cpu-shares", "512", "busybox", "echo", "runs"],
  );
  assert.equal(ran.stdout, "runs\n", ran.stderr);
  assert.equal(ran.code, 0);
  const warnings = ran.stderr.trim().split("\n");
  assert.deepEqual(warnings, [
    "WARNING: Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.",
    "WARNING: Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.",
    "WARNING: Your kernel does not support CPU shares or the cgroup is not mounted. Shares discarded.",
  ]);
  const id = await engine.ok("run", "-d", "busybox", "sleep", "1000");
  const updated = await engine.docker("update", "-m", "64m", id);
  assert.equal(updated.code, 0, updated.stderr);
  assert.match(updated.stdout + updated.stderr, /Limitation discarded/);
  assert.equal(await engine.inspect(id, "{{.HostConfig.Memory}}"), "0");
  await engine.ok("rm", "-f", id);
  const info = await engine.docker("info");
  for (const what of ["memory limit", "swap limit", "cpu cfs quota", "cpu shares", "cpuset", "pids limit"])
    assert.match(info.stdout + info.stderr, new RegExp(`WARNING: No ${what} support`));
});

test("--cpus without the cpu controller is refused in Docker's words", { skip }, async () => {
  const ran = await engine.docker("run", "--rm", "--cpus", "0.5", "busybox", "true");
  assert.equal(ran.code, 125);
  assert.match(ran.stderr, /NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler/);
});
