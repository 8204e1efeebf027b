import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { run, TestEngine, until } from "../engine.ts";
import { root } from "../tidy/source-tree.ts";

const found = (program: string): string =>
  execFileSync("sh", ["-c", `command -v ${program}`])
    .toString()
    .trim();

/** Each is called by its OCI command line, ours as a stranger too. */
const programs: Readonly<Record<string, string>> = {
  "debian-runc": found("runc"),
  "debian-crun": found("crun"),
  "own-runc": join(root, "dist/bin/hull-runc"),
};

/** crun serves no hierarchy that is v1 and v2 at once: the engine sees the v1 part of such a one alone. */
const withoutUnified = 'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"';

let engine: TestEngine;
before(async () => {
  const args = Object.entries(programs).flatMap(([name, path]) => ["--add-runtime", `${name}=${path}`]);
  engine = await TestEngine.start({ args, wrap: ["unshare", "-m", "sh", "-c", withoutUnified, "sh"] });
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

const scratch = mkdtempSync("/var/tmp/hull-runtimes-");
after(() => rmSync(scratch, { recursive: true }));

function configFile(): string {
  const path = join(scratch, "daemon.json");
  const runtimes = { chatty: { path: programs["debian-runc"], runtimeArgs: ["--debug"] } };
  writeFileSync(path, JSON.stringify({ runtimes, "default-runtime": "chatty" }));
  return path;
}

/** What the runtimes still keep of containers. */
const kept = (): string[] =>
  readdirSync(engine.execRoot)
    .filter((name) => name.startsWith("runtime-"))
    .flatMap((name) => readdirSync(join(engine.execRoot, name, "moby")));

/** A command under a terminal of its own. */
const inTerminal = (...args: string[]) =>
  run(["script", "-qec", ["docker", ...args].join(" "), "/dev/null"], { DOCKER_HOST: `unix://${engine.socket}` });

test("info lists the runtimes, and one that nobody configured is refused", async () => {
  const names = JSON.parse(await engine.ok("info", "-f", "{{json .Runtimes}}"));
  for (const [name, path] of Object.entries(programs)) assert.equal(names[name].path, path);
  const ran = await engine.docker("run", "--rm", "--runtime", "nope", "busybox", "true");
  assert.equal(ran.code, 125);
  assert.match(ran.stderr, /unknown or invalid runtime name: nope/);
});

for (const name of Object.keys(programs)) {
  const start = (...args: string[]) => engine.ok("run", "-d", "--runtime", name, ...args);

  test(`${name}: output, input, exit code and user of a run are the container's`, async () => {
    const args = ["run", "--rm", "-i", "--runtime", name, "-u", "www-data", "-h", "box", "busybox"];
    const script = "cat; echo err >&2; hostname; id -u; exit 7";
    const ran = await engine.dockerWith({ input: "typed\n" }, ...args, "sh", "-c", script);
    assert.deepEqual([ran.stdout, ran.stderr, ran.code], ["typed\nbox\n33\n", "err\n", 7]);
    assert.equal(
      (await inTerminal("run", "--rm", "-t", "--runtime", name, "busybox", "tty")).stdout.trim(),
      "/dev/pts/0",
    );
  });

  test(`${name}: a missing program makes 127, one that can't be executed 126, and nothing stays`, async () => {
    const missing = await engine.docker("run", "--rm", "--runtime", name, "busybox", "nope");
    assert.equal(missing.code, 127);
    assert.match(missing.stderr, /OCI runtime create failed.*not found in \$PATH/s);
    assert.equal((await engine.docker("run", "--rm", "--runtime", name, "busybox", "/etc/passwd")).code, 126);
    const user = await engine.docker("run", "--rm", "--runtime", name, "-u", "nobody-here", "busybox", "true");
    assert.match(user.stderr, /unable to find user nobody-here: no matching entries in passwd file/);
    assert.deepEqual(kept(), []);
  });

  test(`${name}: the OOM killer, --init, --privileged and a shared network are as with our own`, async () => {
    const eater = [
      "run",
      "--name",
      "eater",
      "--runtime",
      name,
      "-m",
      "20m",
      "busybox",
      "tail",
      "-c",
      "90000000",
      "/dev/zero",
    ];
    assert.equal((await engine.docker(...eater)).code, 137);
    assert.equal(await engine.inspect("eater", "{{.State.OOMKilled}}"), "true");
    await engine.ok("rm", "eater");
    const id = await start("--init", "--privileged", "busybox", "sleep", "1000");
    assert.match(await engine.ok("exec", id, "cat", "/proc/1/cmdline"), /docker-init/);
    const own = await engine.ok("exec", id, "readlink", "/proc/self/ns/net");
    const joined = ["run", "--rm", "--runtime", name, "--network", `container:${id}`, "busybox"];
    assert.equal(await engine.ok(...joined, "readlink", "/proc/self/ns/net"), own);
    await engine.ok("rm", "-f", id);
  });

  test(`${name}: exec has its own streams, terminal, user and exit code`, async () => {
    const id = await start("busybox", "sleep", "1000");
    const ran = await engine.dockerWith(
      { input: "in\n" },
      "exec",
      "-i",
      "-u",
      "33",
      id,
      "sh",
      "-c",
      "cat; id -u; exit 5",
    );
    assert.deepEqual([ran.stdout, ran.code], ["in\n33\n", 5]);
    assert.equal((await inTerminal("exec", "-t", id, "tty")).stdout.trim(), "/dev/pts/0");
    const missing = await engine.docker("exec", id, "nope");
    assert.equal(missing.code, 127);
    assert.match(missing.stdout + missing.stderr, /OCI runtime exec failed.*not found in \$PATH/s);
    for (let i = 0; i < 5; i++) assert.equal((await engine.docker("exec", id, "sh", "-c", `exit ${i}`)).code, i);
    await engine.ok("rm", "-f", id);
  });

  test(`${name}: a container is paused, resumed, limited, counted, stopped, started again and killed`, async () => {
    const id = await start(
      "-m",
      "64m",
      "-p",
      "127.0.0.1::80",
      "busybox",
      "sh",
      "-c",
      "trap 'exit 3' TERM; echo up; while :; do sleep 0.1; done",
    );
    await until("it runs", async () => (await engine.ok("logs", id)) === "up");
    await engine.ok("pause", id);
    assert.equal(await engine.inspect(id, "{{.State.Status}}"), "paused");
    await engine.ok("unpause", id);
    assert.match(await engine.ok("stats", "--no-stream", "--format", "{{.MemUsage}}", id), /\/ 64MiB/);
    await engine.ok("update", "-m", "48m", "--memory-swap", "48m", id);
    assert.match(await engine.ok("stats", "--no-stream", "--format", "{{.MemUsage}}", id), /\/ 48MiB/);
    assert.match(await engine.ok("top", id), /trap/);
    await engine.ok("stop", id);
    assert.equal(await engine.inspect(id, "{{.State.ExitCode}}"), "3");
    await engine.ok("start", id);
    const network = () => engine.ok("exec", id, "readlink", "/proc/self/ns/net");
    const before = await network();
    await until("it runs again", async () => (await engine.ok("logs", id)) === "up\nup");
    await engine.ok("restart", id);
    assert.equal(await network(), before);
    await engine.ok("pause", id);
    await engine.ok("kill", id);
    assert.equal(await engine.inspect(id, "{{.State.ExitCode}}"), "137");
    await engine.ok("rm", id);
    assert.deepEqual(kept(), []);
  });

  test(`${name}: a container outlives a killed engine and shim, and its end is told with its code`, async () => {
    const id = await start("busybox", "sh", "-c", "while [ ! -e /go ]; do sleep 0.1; done; echo bye; exit 9");
    const pid = await engine.inspect(id, "{{.State.Pid}}");
    await engine.endDaemon("SIGKILL");
    await engine.startDaemon();
    assert.equal(await engine.inspect(id, "{{.State.Pid}}"), pid);
    const shim = spawnSync("pgrep", ["-f", `^keel shim moby ${id}`])
      .stdout.toString()
      .trim();
    process.kill(Number(shim), "SIGKILL");
    await until("another shim has it", async () => (await engine.docker("exec", id, "touch", "/go")).code === 0);
    assert.equal(await engine.ok("wait", id), "9");
    assert.match(await engine.ok("logs", id), /bye/);
    await engine.ok("rm", id);
  });
}

test("daemon.json names runtimes with arguments, and the one that containers get", async () => {
  await using other = await TestEngine.start({ args: ["--config-file", configFile()] });
  const id = await other.ok("run", "-d", "busybox", "sleep", "1000");
  assert.equal(await other.inspect(id, "{{.HostConfig.Runtime}}"), "chatty");
  assert.equal(await other.ok("info", "-f", "{{.DefaultRuntime}}"), "chatty");
  const log = join(other.execRoot, "containerd/io.containerd.runtime.v2.task/moby", id, "runtime-log.json");
  assert.match(readFileSync(log, "utf8"), /"level":"debug"/);
  await other.ok("rm", "-f", id);
});

test("the runtime is as real as its namespaces: the process is a child of the shim, the cgroup its own", async () => {
  const id = await engine.ok("run", "-d", "--runtime", "debian-runc", "busybox", "sleep", "1000");
  const pid = await engine.inspect(id, "{{.State.Pid}}");
  const parent = execFileSync("ps", ["-o", "ppid=", "-p", pid]).toString().trim();
  assert.match(execFileSync("ps", ["-o", "args=", "-p", parent]).toString(), new RegExp(`^keel shim moby ${id}`));
  const state = execFileSync("runc", ["--root", join(engine.execRoot, "runtime-runc/moby"), "state", id]).toString();
  assert.equal(JSON.parse(state).status, "running");
  await engine.ok("rm", "-f", id);
  assert.equal(existsSync(join(engine.execRoot, "runtime-runc/moby", id)), false);
});
