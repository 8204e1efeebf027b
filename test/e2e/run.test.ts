import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { TestEngine, until } from "../engine.ts";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

for (const client of ["docker", "hull"] as const) {
  const command = (...args: string[]) => engine[client](...args);

  test(`${client} run shows the output of the command and takes its exit code`, async () => {
    const ran = await command("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7");
    assert.deepEqual(ran, { stdout: "out\n", stderr: "err\n", code: 7 });
  });

  test(`${client} run -i passes stdin on and its end`, async () => {
    const host = { DOCKER_HOST: `unix://${engine.socket}` };
    const { run } = await import("../engine.ts");
    const program = client === "docker" ? "docker" : `${import.meta.dirname}/../../dist/bin/hull`;
    const ran = await run([program, "run", "-i", "--rm", "busybox", "wc", "-c"], host, { input: "x".repeat(100_000) });
    assert.equal(ran.stdout.trim(), "100000");
  });

  test(`${client} run of a missing program ends with 127, of one that may not run with 126`, async () => {
    const missing = await command("run", "--rm", "busybox", "no-such-program");
    assert.equal(missing.code, 127);
    assert.match(missing.stderr, /executable file not found in \$PATH/);
    const forbidden = await command("run", "--rm", "busybox", "/etc/passwd");
    assert.equal(forbidden.code, 126);
    assert.match(forbidden.stderr, /permission denied/);
  });

  test(`${client} run of an unknown option ends with 125`, async () => {
    const ran = await command("run", "--no-such-flag", "busybox");
    assert.equal(ran.code, 125);
    assert.match(ran.stderr, /unknown flag: --no-such-flag/);
  });
}

test("a container has its own hostname, pid 1, environment, user and directory", async () => {
  const out = await engine.ok(
    "run",
    "--rm",
    "-h",
    "box",
    "-e",
    "A=b",
    "-u",
    "nobody",
    "-w",
    "/tmp",
    "busybox",
    "sh",
    "-c",
    "hostname; echo $$; echo $A; id -un; pwd; echo $HOME",
  );
  assert.deepEqual(out.split("\n"), ["box", "1", "b", "nobody", "/tmp", "/home"]);
});

test("limits reach the cgroup", async () => {
  const id = await engine.ok(
    "run",
    "-d",
    "-m",
    "64m",
    "--cpus",
    "0.5",
    "--pids-limit",
    "50",
    "busybox",
    "sleep",
    "1000",
  );
  assert.equal(
    await engine.inspect(id, "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}}"),
    "67108864 500000000 50",
  );
  const inside = await engine.ok(
    "exec",
    id,
    "sh",
    "-c",
    "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max",
  );
  assert.deepEqual(inside.split("\n").slice(0, 2), ["67108864", "50"]);
  await engine.ok("rm", "-f", id);
});

test("a process that eats more than its memory limit is OOMKilled", async () => {
  const ran = await engine.docker(
    "run",
    "--name",
    "hungry",
    "-m",
    "16m",
    "--memory-swap",
    "16m",
    "busybox",
    "sh",
    "-c",
    "x=a; while :; do x=$x$x; done",
  );
  assert.equal(ran.code, 137);
  assert.equal(await engine.inspect("hungry", "{{.State.OOMKilled}} {{.State.ExitCode}}"), "true 137");
  await engine.ok("rm", "hungry");
});

test("the default profile keeps a container from mounting, loading modules and changing the clock", async () => {
  const ran = await engine.docker(
    "run",
    "--rm",
    "busybox",
    "sh",
    "-c",
    "mount -t tmpfs none /mnt; date -s 2000-01-01; cat /proc/kcore | head -c 1 | wc -c; echo x > /proc/sys/kernel/domainname",
  );
  assert.match(ran.stderr, /mount.*(denied|permitted)/i);
  assert.match(ran.stderr, /can't set date|Operation not permitted/i);
  assert.match(ran.stdout, /^0$/m);
  assert.match(ran.stderr, /Read-only file system/);
});

test("stop sends SIGTERM, kill SIGKILL, and the exit codes tell", async () => {
  const script = "trap 'exit 5' TERM; echo ready; while :; do sleep 0.1; done";
  const polite = await engine.ok("run", "-d", "busybox", "sh", "-c", script);
  await until("it has its trap", async () => (await engine.ok("logs", polite)) === "ready");
  await engine.ok("stop", "-t", "5", polite);
  assert.equal(await engine.inspect(polite, "{{.State.ExitCode}}"), "5");
  const killed = await engine.ok("run", "-d", "busybox", "sleep", "1000");
  await engine.ok("kill", killed);
  assert.equal(await engine.ok("wait", killed), "137");
  await engine.ok("rm", polite, killed);
});

test("pause freezes, unpause thaws", async () => {
  const id = await engine.ok("run", "-d", "busybox", "sleep", "1000");
  await engine.ok("pause", id);
  assert.match(await engine.ok("ps", "--filter", `id=${id}`, "--format", "{{.Status}}"), /\(Paused\)/);
  const refused = await engine.docker("exec", id, "true");
  assert.notEqual(refused.code, 0);
  await engine.ok("unpause", id);
  assert.equal(await engine.ok("exec", id, "echo", "ok"), "ok");
  await engine.ok("rm", "-f", id);
});

test("exec runs in the container's namespaces with its own exit code", async () => {
  const id = await engine.ok("run", "-d", "--name", "target", "busybox", "sleep", "1000");
  assert.equal((await engine.docker("exec", "target", "sh", "-c", "exit 9")).code, 9);
  assert.equal(
    await engine.ok("exec", "-e", "X=1", "-w", "/etc", "-u", "65534", "target", "sh", "-c", "echo $X $(pwd) $(id -u)"),
    "1 /etc 65534",
  );
  assert.equal((await engine.docker("exec", "target", "nope")).code, 127);
  assert.equal((await engine.dockerWith({ input: "hello" }, "exec", "-i", "target", "cat")).stdout, "hello");
  await engine.ok("rm", "-f", id);
});

test("a terminal is one: tty, size, echo", async () => {
  const ran = await engine.ok("run", "-t", "--rm", "busybox", "sh", "-c", "tty; test -t 1 && echo yes");
  assert.deepEqual(ran.split(/\r?\n/), ["/dev/pts/0", "yes"]);
});

test("logs keep both streams, the order, timestamps and the tail", async () => {
  const id = await engine.ok(
    "run",
    "-d",
    "busybox",
    "sh",
    "-c",
    "for i in 1 2 3 4 5; do echo line $i; done; echo bad >&2",
  );
  await engine.ok("wait", id);
  const logs = await engine.docker("logs", id);
  assert.equal(logs.stdout, "line 1\nline 2\nline 3\nline 4\nline 5\n");
  assert.equal(logs.stderr, "bad\n");
  assert.equal((await engine.docker("logs", "-n", "2", id)).stdout, "line 5\n");
  assert.match((await engine.docker("logs", "-t", id)).stdout, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z line 1$/m);
  await engine.ok("rm", id);
});

test("200 MB through a reader that sleeps first arrive whole", async () => {
  const { run } = await import("../engine.ts");
  const ran = await run(["sh", "-c", "docker run --rm busybox head -c 200000000 /dev/zero | (sleep 3; wc -c)"], {
    DOCKER_HOST: `unix://${engine.socket}`,
  });
  assert.equal(ran.stdout.trim(), "200000000");
});
