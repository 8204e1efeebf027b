/** What a container does between its creation and its removal, through the real docker command. */
import assert from "node:assert/strict";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { after, afterEach, before, test } from "node:test";
import { TestEngine, until } from "../engine.ts";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});
afterEach(async () => {
  const ids = (await engine.ok("ps", "-aq")).split("\n").filter(Boolean);
  if (ids.length > 0) await engine.ok("rm", "-f", "-v", ...ids);
});

const sh = (script: string): string[] => ["busybox", "sh", "-c", script];
interface EventLine {
  readonly Type: string;
  readonly Action: string;
}

async function eventsUntilNow(...args: string[]): Promise<EventLine[]> {
  const until = (Date.now() / 1000).toFixed(3);
  const lines = await engine.ok("events", "--since", "1m", "--until", until, "--format", "json", ...args);
  return lines.split("\n").map((line) => JSON.parse(line) as EventLine);
}

const status = (name: string): Promise<string> => engine.inspect(name, "{{.State.Status}}");

test("exec runs as another user, elsewhere, with more environment, and gives its exit code", async () => {
  await engine.ok("run", "-d", "--name", "ee", "busybox", "sleep", "100");
  const ran = await engine.docker(
    "exec",
    "-u",
    "nobody",
    "-w",
    "/tmp",
    "-e",
    "A=b",
    "ee",
    "sh",
    "-c",
    "id -un; pwd; echo $A; exit 9",
  );
  assert.deepEqual(ran, { stdout: "nobody\n/tmp\nb\n", stderr: "", code: 9 });
  assert.equal((await engine.docker("exec", "ee", "no-such-program")).code, 127);
  assert.equal((await engine.docker("exec", "ee", "/etc/passwd")).code, 126);
  assert.equal((await engine.docker("exec", "-w", "/no/such", "ee", "pwd")).code, 127);
});

test("exec -i passes stdin on and its end", async () => {
  await engine.ok("run", "-d", "--name", "ee", "busybox", "sleep", "100");
  const ran = await engine.dockerWith({ input: "x".repeat(300_000) }, "exec", "-i", "ee", "wc", "-c");
  assert.equal(ran.stdout.trim(), "300000");
});

test("a stopped, a paused and a missing container refuse exec in Docker's words", async () => {
  await engine.ok("create", "--name", "cc", "busybox");
  assert.match((await engine.docker("exec", "cc", "true")).stderr, /container [0-9a-f]{64} is not running/);
  assert.match((await engine.docker("exec", "missing", "true")).stderr, /No such container: missing/);
  await engine.ok("run", "-d", "--name", "pp", "busybox", "sleep", "100");
  await engine.ok("pause", "pp");
  assert.match((await engine.docker("exec", "pp", "true")).stderr, /is paused, unpause the container before exec/);
  await engine.ok("unpause", "pp");
  assert.equal(await engine.ok("exec", "pp", "echo", "again"), "again");
});

test("logs: tail, since, timestamps, streams apart, and following to the end", async () => {
  await engine.ok(
    "run",
    "-d",
    "--name",
    "ll",
    ...sh("for i in 1 2 3; do echo $i; done; echo err >&2; sleep 0.5; echo last"),
  );
  const followed = await engine.docker("logs", "-f", "ll");
  assert.deepEqual([followed.stdout, followed.stderr], ["1\n2\n3\nlast\n", "err\n"]);
  assert.equal(await engine.ok("logs", "--tail", "1", "ll"), "last");
  assert.match(await engine.ok("logs", "-t", "--tail", "1", "ll"), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z last$/);
  assert.equal((await engine.docker("logs", "--until", "2020-01-01T00:00:00Z", "ll")).stdout, "");
});

test("logs are rotated and read over the rotation", async () => {
  const options = ["--log-opt", "max-size=20k", "--log-opt", "max-file=3"];
  await engine.ok(
    "run",
    "--name",
    "ll",
    ...options,
    ...sh("i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo line $i; done"),
  );
  const lines = (await engine.ok("logs", "ll")).split("\n");
  assert.equal(lines.at(-1), "line 2000");
  assert.ok(lines.length > 200 && lines.length < 2000, `${lines.length} lines are left`);
  const first = Number(lines[0]!.slice(5));
  assert.deepEqual(
    lines,
    Array.from({ length: 2001 - first }, (_, i) => `line ${first + i}`),
  );
});

test("a slow reader of 50 MB gets every byte", async () => {
  const { run } = await import("../engine.ts");
  const piped = "docker run --rm busybox sh -c 'dd if=/dev/zero bs=1M count=50 2>/dev/null' | (sleep 1; wc -c)";
  const ran = await run(["sh", "-c", piped], { DOCKER_HOST: `unix://${engine.socket}` });
  assert.equal(ran.stdout.trim(), String(50 * 1024 * 1024));
});

test("attach and exec work without an Upgrade header", async () => {
  await engine.ok("run", "-d", "--name", "aa", ...sh("sleep 0.5; echo late; sleep 100"));
  const socket = connect(engine.socket);
  socket.write("POST /containers/aa/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: x\r\n\r\n");
  let received = Buffer.alloc(0);
  socket.on("data", (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
  });
  await until("the output arrives", () => received.includes("late"));
  socket.destroy();
  const text = received.toString("latin1");
  assert.match(text, /^HTTP\/1\.1 200 OK\r\nContent-Type: application\/vnd\.docker\.multiplexed-stream\r\n/m);
  assert.ok(received.includes(Buffer.from([1, 0, 0, 0, 0, 0, 0, 5])), "the frame's header stands before the line");
});

test("stop, kill and wait give Docker's codes, and a second kill is refused", async () => {
  await engine.ok("run", "-d", "--name", "ss", ...sh("trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done"));
  await until("it has its trap", async () => (await engine.ok("logs", "ss")) === "ready");
  await engine.ok("stop", "ss");
  assert.equal(await engine.ok("wait", "ss"), "5");
  await engine.ok("run", "-d", "--name", "kk", "busybox", "sleep", "100");
  await engine.ok("stop", "-t", "0", "kk");
  assert.equal(await engine.inspect("kk", "{{.State.ExitCode}}"), "137");
  assert.match((await engine.docker("kill", "kk")).stderr, /container [0-9a-f]{64} is not running/);
});

test("restart keeps the address and the network namespace", async () => {
  await engine.ok("run", "-d", "--name", "rr", "busybox", "sleep", "100");
  const place = () => engine.inspect("rr", "{{.NetworkSettings.IPAddress}} {{.NetworkSettings.SandboxKey}}");
  const before = await place();
  const inode = statSync(before.split(" ")[1]!).ino;
  await engine.ok("restart", "-t", "0", "rr");
  assert.equal(await place(), before);
  assert.equal(statSync(before.split(" ")[1]!).ino, inode);
});

test("on-failure:2 starts again twice; a stop ends always", async () => {
  await engine.ok("run", "-d", "--name", "ff", "--restart", "on-failure:2", ...sh("exit 3"));
  await until("it has given up", async () => (await status("ff")) === "exited");
  assert.equal(await engine.inspect("ff", "{{.RestartCount}} {{.State.ExitCode}}"), "2 3");
  await engine.ok("run", "-d", "--name", "aa", "--restart", "always", "busybox", "sleep", "100");
  await engine.ok("stop", "-t", "0", "aa");
  assert.equal(await status("aa"), "exited");
});

test("a health check turns unhealthy and healthy, with events", async () => {
  const check = ["--health-cmd", "test -f /ok", "--health-interval", "200ms", "--health-retries", "2"];
  await engine.ok("run", "-d", "--name", "hh", ...check, "busybox", "sleep", "100");
  const health = (wanted: string) => async () => (await engine.inspect("hh", "{{.State.Health.Status}}")) === wanted;
  await until("it is unhealthy", health("unhealthy"));
  await engine.ok("exec", "hh", "touch", "/ok");
  await until("it is healthy", health("healthy"));
  const events = (await eventsUntilNow("--filter", "container=hh")).map(({ Action }) => Action);
  const told = events.filter((action) => action.startsWith("health_status"));
  assert.deepEqual(told, ["health_status: unhealthy", "health_status: healthy"]);
});

test("running out of memory is told", async () => {
  const ran = await engine.docker("run", "--name", "oo", "-m", "20m", ...sh("tail /dev/zero"));
  assert.equal(ran.code, 137);
  assert.equal(await engine.inspect("oo", "{{.State.OOMKilled}}"), "true");
});

test("update changes limits while it runs", async () => {
  await engine.ok("run", "-d", "--name", "uu", "-m", "32m", "busybox", "sleep", "100");
  await engine.ok("update", "-m", "64m", "--memory-swap", "128m", "--restart", "always", "uu");
  assert.equal(
    await engine.inspect("uu", "{{.HostConfig.Memory}} {{.HostConfig.RestartPolicy.Name}}"),
    "67108864 always",
  );
  const stats = JSON.parse(await engine.ok("stats", "--no-stream", "--format", "json", "uu")) as { MemUsage: string };
  assert.match(stats.MemUsage, /64MiB/);
});

test("--init reaps and passes the exit code on", async () => {
  const ran = await engine.docker("run", "--rm", "--init", ...sh("ps -o pid,args | head -2 | tail -1; exit 5"));
  assert.match(ran.stdout, /^\s*1 \/sbin\/docker-init -- sh -c/);
  assert.equal(ran.code, 5);
});

test("namespaces are joined: network, pid and ipc of another container", async () => {
  await engine.ok("run", "-d", "--name", "base", "--ipc", "shareable", ...sh("echo shared > /dev/shm/f; sleep 100"));
  await until("it wrote", async () => (await engine.docker("exec", "base", "test", "-f", "/dev/shm/f")).code === 0);
  const modes = ["--network", "container:base", "--pid", "container:base", "--ipc", "container:base"];
  const out = await engine.ok(
    "run",
    "--rm",
    ...modes,
    ...sh("cat /dev/shm/f; hostname; ps -o args | grep -c 'sleep 10[0]'"),
  );
  assert.deepEqual(out.split("\n").slice(0, 2), ["shared", await engine.inspect("base", "{{.Config.Hostname}}")]);
  assert.ok(Number(out.split("\n")[2]) >= 1, "its processes are seen");
});

test("cp, diff, export and commit see the container's files, stopped or not", async () => {
  const file = engine.path("in.txt");
  writeFileSync(file, "copied\n");
  await engine.ok("create", "--name", "cc", ...sh("cat /tmp/in.txt; echo more > /tmp/out.txt"));
  assert.equal(await engine.ok("diff", "cc"), "");
  await engine.ok("cp", file, "cc:/tmp/in.txt");
  assert.equal(await engine.ok("start", "-a", "cc"), "copied");
  assert.equal(await engine.ok("diff", "cc"), "C /tmp\nA /tmp/in.txt\nA /tmp/out.txt");
  await engine.ok("cp", "cc:/tmp/out.txt", engine.path("out.txt"));
  assert.equal(readFileSync(engine.path("out.txt"), "utf8"), "more\n");
  assert.match(
    (await engine.docker("cp", "cc:/missing", engine.path("x"))).stderr,
    /Could not find the file \/missing in container cc/,
  );
  await engine.ok("commit", "-c", "CMD cat /tmp/out.txt", "cc", "made:1");
  assert.equal(await engine.ok("run", "--rm", "made:1"), "more");
  await engine.ok("rmi", "made:1");
});

test("a failed start of a --rm container leaves nothing", async () => {
  const ran = await engine.docker("run", "--rm", "-u", "nosuch", "busybox", "true");
  assert.match(ran.stderr, /unable to find user nosuch: no matching entries in passwd file/);
  assert.equal(ran.code, 125);
  assert.equal(await engine.ok("ps", "-aq"), "");
});

test("events come in Docker's order", async () => {
  await engine.ok("run", "--rm", "--name", "ev", "-v", "evvol:/v", "busybox", "true");
  assert.equal(await engine.ok("ps", "-aq"), "");
  await engine.ok("volume", "rm", "evvol"); // Waits for the end of the removal.
  const actions = (await eventsUntilNow()).map(({ Type, Action }) => `${Type} ${Action}`);
  const own = actions
    .slice(actions.lastIndexOf("container create"))
    .filter((action) => !/^volume (create|destroy)/.test(action));
  assert.deepEqual(own, [
    "container create",
    "container attach",
    "network connect",
    "volume mount",
    "container start",
    "container die",
    "network disconnect",
    "volume unmount",
    "container destroy",
  ]);
});
