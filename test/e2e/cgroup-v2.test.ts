import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { TestEngine } from "../engine.ts";

/** An engine that sees the unified cgroup tree alone, in a mount namespace of its own. */
const onlyUnified = 'umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec "$@"';

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
