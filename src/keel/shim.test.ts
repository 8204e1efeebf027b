import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { pauseClient, readExitRecord, type ShimEvent } from "./shim-client.ts";
import { alive, readAll, stageOf, stopServe, TestContainer, unframe, until } from "./shim-harness.ts";

after(stopServe);

const sh = (script: string): string[] => ["/bin/sh", "-c", script];

test("a container's output is framed for its client and logged, and its exit code is told", async () => {
  await using box = await TestContainer.create({ argv: sh("echo out; echo err >&2; exit 7") });
  const client = await box.client();
  const socket = await client.attach({ stdout: true, stderr: true });
  await client.start();
  const { stdout, stderr } = unframe(await readAll(socket));
  socket.destroy();
  assert.equal(stdout.toString(), "out\n");
  assert.equal(stderr.toString(), "err\n");
  const ended = await client.wait();
  assert.deepEqual(ended.status, { exitCode: 7 });
  assert.deepEqual(
    box
      .log()
      .map(({ log, stream }) => `${stream}:${log}`)
      .sort(),
    ["stderr:err\n", "stdout:out\n"],
  );
});

test("an exec has its own stdio and exit code, several at a time", async () => {
  await using box = await TestContainer.create({ argv: sh("sleep 100") });
  const client = await box.client();
  await client.start();
  const run = async (n: number) => {
    const execId = `e${n}`;
    await client.exec({ execId, stdio: box.stdio, operations: stageOf(sh(`cat; exit ${n}`)) });
    const socket = await client.attach({ execId, stdin: true, stdout: true, stderr: true });
    await client.start(execId);
    socket.end(`input ${n}`);
    const { stdout } = unframe(await readAll(socket));
    const { status } = await client.wait(execId);
    assert.ok(await readExitRecord(box.directory, execId));
    await client.delete(execId);
    return { text: stdout.toString(), status };
  };
  const stdinOnce = { ...box.stdio, stdinOnce: true };
  Object.defineProperty(box, "stdio", { value: stdinOnce });
  const results = await Promise.all([1, 2, 3, 4, 5].map(run));
  assert.deepEqual(
    results,
    [1, 2, 3, 4, 5].map((n) => ({ text: `input ${n}`, status: { exitCode: n } })),
  );
  assert.deepEqual(
    (await client.state()).processes.map((one) => one.execId),
    [""],
  );
  assert.equal(await readExitRecord(box.directory, "e1"), undefined);
  await assert.rejects(client.exec({ execId: "../x", stdio: {}, operations: stageOf(["/bin/true"]) }), {
    code: "invalid-argument",
  });
});

test("stdin reaches the process and ends with the client's half-close when it is asked to, and not otherwise", async () => {
  await using once = await TestContainer.create({ argv: ["/bin/cat"], stdio: { stdinOnce: true } });
  const client = await once.client();
  const socket = await client.attach({ stdin: true, stdout: true });
  socket.end("before start\n");
  await client.start();
  assert.equal(unframe(await readAll(socket)).stdout.toString(), "before start\n");
  assert.deepEqual((await client.wait()).status, { exitCode: 0 });

  await using open = await TestContainer.create({ argv: ["/bin/cat"] });
  const second = await open.client();
  await second.start();
  const first = await second.attach({ stdin: true, stdout: true });
  first.end("one\n");
  const other = await second.attach({ stdin: true, stdout: true });
  other.write("two\n");
  await until("cat has echoed both", () => open.log().length === 2);
  await second.closeStdin();
  assert.deepEqual((await second.wait()).status, { exitCode: 0 });
  first.destroy();
  other.destroy();
});

test("more stdin than a pipe holds arrives whole although the process reads late", async () => {
  await using box = await TestContainer.create({ argv: sh("sleep 0.3; wc -c"), stdio: { stdinOnce: true } });
  const client = await box.client();
  await client.start();
  const socket = await client.attach({ stdin: true, stdout: true, raw: true });
  socket.end(Buffer.alloc(3_000_000, "x"));
  assert.equal((await readAll(socket)).toString().trim(), "3000000");
});

test("a terminal has the size it was given last, before and after the start", async () => {
  await using box = await TestContainer.create({
    argv: sh('stty size; read line; stty size; echo "got $line"'),
    stdio: { terminal: true, rows: 24, columns: 80 },
  });
  const client = await box.client();
  await client.resize({ rows: 33, columns: 99 });
  const socket = await client.attach({ stdin: true, stdout: true, raw: true });
  await client.start();
  let seen = "";
  socket.on("data", (chunk: Buffer) => {
    seen += chunk.toString();
  });
  socket.resume();
  await until("the first size", () => seen.includes("33 99"));
  await client.resize({ rows: 10, columns: 20 });
  socket.write("hello\n");
  await until("the second size", () => seen.includes("10 20") && seen.includes("got hello"));
  assert.deepEqual((await client.wait()).status, { exitCode: 0 });
  socket.destroy();
});

test("a signal ends the process and is told as such; a signal to an ended one is refused", async () => {
  await using box = await TestContainer.create({ argv: ["/bin/sleep", "100"] });
  const client = await box.client();
  await client.start();
  await client.kill({ signal: 9 });
  assert.deepEqual((await client.wait()).status, { signal: 9, coreDumped: false });
  await assert.rejects(client.kill({ signal: 15 }), { code: "not-found" });
  await assert.rejects(client.exec({ execId: "late", stdio: {}, operations: stageOf(["/bin/true"]) }), {
    code: "not-found",
  });
});

test("a container that is killed before its start is told to have ended without having been started", async () => {
  await using box = await TestContainer.create({ argv: ["/bin/sleep", "100"] });
  const client = await box.client();
  await client.kill({ signal: 9 });
  const ended = await client.wait();
  assert.equal(ended.startedAtNs, undefined);
  await assert.rejects(client.start(), { code: "not-found" });
});

const counting = sh("i=0; while [ $i -lt 400 ]; do echo line $i; i=$((i+1)); sleep 0.002; done; exit 5");

test("killing the shim changes no pid, loses and doubles no log line, and the exit is told once with its code", async () => {
  await using box = await TestContainer.create({ argv: counting });
  const first = await box.client();
  await first.start();
  await until("some lines", () => box.log().length > 20);
  let shim = box.pids!.shimPid;
  for (let kill = 0; kill < 5; kill++) {
    const seen = box.log().length;
    process.kill(shim, "SIGKILL");
    const client = await box.client();
    const state = await client.state();
    assert.notEqual(state.shimPid, shim);
    shim = state.shimPid;
    assert.equal(state.processes[0]?.pid, box.pids!.pid);
    assert.equal(state.processes[0]?.state, "running");
    await until("lines go on", () => box.log().length > seen + 10);
  }
  const events: ShimEvent[] = [];
  const last = await box.client({ onEvent: (event) => events.push(event) });
  await last.subscribe();
  assert.deepEqual((await last.wait()).status, { exitCode: 5 });
  assert.deepEqual(
    box.log().map((line) => line.log),
    Array.from({ length: 400 }, (_, i) => `line ${i}\n`),
  );
  assert.equal(events.filter((event) => event.kind === "exited").length, 1);
  assert.deepEqual((await readExitRecord(box.directory))?.status, { exitCode: 5 });
});

test("a shim killed while a line is unfinished keeps the line", async () => {
  await using box = await TestContainer.create({ argv: sh("printf begin; read x; echo end") });
  const client = await box.client();
  const socket = await client.attach({ stdout: true, raw: true });
  await client.start();
  let seen = "";
  socket.on("data", (chunk: Buffer) => {
    seen += chunk.toString();
  });
  socket.resume();
  await until("the shim has read the beginning", () => seen === "begin");
  process.kill(box.pids!.shimPid, "SIGKILL");
  const next = await box.client();
  const input = await next.attach({ stdin: true });
  input.write("go\n");
  await next.wait();
  assert.deepEqual(
    box.log().map((line) => line.log),
    ["beginend\n"],
  );
  socket.destroy();
  input.destroy();
});

test("a shim killed between create and start leaves a container that can be started", async () => {
  await using box = await TestContainer.create({ argv: sh("echo hi; exit 4") });
  process.kill(box.pids!.shimPid, "SIGKILL");
  const client = await box.client();
  assert.equal((await client.state()).processes[0]?.state, "created");
  await client.start();
  assert.deepEqual((await client.wait()).status, { exitCode: 4 });
  assert.deepEqual(
    box.log().map((line) => line.log),
    ["hi\n"],
  );
});

test("an exec goes on when the shim is killed, and its exit is told by the next one", async () => {
  await using box = await TestContainer.create({ argv: ["/bin/sleep", "100"] });
  const first = await box.client();
  await first.start();
  const stdio = { stdin: "pipe:", stdout: "pipe:", stderr: "pipe:" };
  await first.exec({ execId: "e", stdio, operations: stageOf(sh("read x; exit 9")), startNow: true });
  process.kill(box.pids!.shimPid, "SIGKILL");
  const client = await box.client();
  const socket = await client.attach({ execId: "e", stdin: true });
  socket.write("x\n");
  assert.deepEqual((await client.wait("e")).status, { exitCode: 9 });
  socket.destroy();
});

test("killing pause leaves the process alone, and its exit is still told with its code", async () => {
  for (const shimToo of [false, true]) {
    await using box = await TestContainer.create({ argv: sh("read x; exit 6") });
    const first = await box.client();
    await first.start();
    if (shimToo) {
      process.kill(box.pids!.shimPid, "SIGKILL");
      await until("a new shim", async () => (await (await box.client()).state()).shimPid !== box.pids!.shimPid);
    }
    process.kill(box.pids!.pausePid, "SIGKILL");
    await until("pause is gone", () => !alive(box.pids!.pausePid));
    const client = await box.client();
    assert.ok(alive(box.pids!.pid));
    const socket = await client.attach({ stdin: true });
    socket.write("x\n");
    assert.deepEqual((await client.wait()).status, { exitCode: 6 }, `shim killed before: ${shimToo}`);
    await client.shutdown({ pause: true });
    await until("the shim ends", () => client.closed);
    socket.destroy();
  }
});

test("a shim that has lost pause ends when its process has and nobody is connected; what it knew is on disk", async () => {
  await using box = await TestContainer.create({ argv: ["/bin/sleep", "100"] });
  const client = await box.client();
  await client.start();
  process.kill(box.pids!.pausePid, "SIGKILL");
  await until("pause is gone", () => !alive(box.pids!.pausePid));
  await client.kill({ signal: 9 });
  assert.deepEqual((await client.wait()).status, { signal: 9, coreDumped: false });
  assert.ok(alive(box.pids!.shimPid), "it stays for who is connected");
  client.close();
  await until("the shim ends", () => !alive(box.pids!.shimPid));
  assert.deepEqual((await readExitRecord(box.directory))?.status, { signal: 9, coreDumped: false });
  assert.ok(existsSync(join(box.directory, "shim.json")) && !existsSync(box.container.shimSocket));
});

test("pause outlives its container: the same namespaces serve the next start", async () => {
  await using box = await TestContainer.create({ argv: sh("exit 1") });
  const client = await box.client();
  await client.start();
  await client.wait();
  await assert.rejects(pauseClient.forkShim(box.container.pauseSocket, box.forkRequest()), {
    code: "failed-precondition",
  });
  await client.shutdown({ pause: false });
  await until("the shim ends", () => client.closed);
  const again = await pauseClient.forkShim(box.container.pauseSocket, box.forkRequest());
  assert.equal(again.pausePid, box.pids!.pausePid);
  assert.equal(await readExitRecord(box.directory), undefined);
  const second = await box.client();
  await second.start();
  assert.deepEqual((await second.wait()).status, { exitCode: 1 });
});

test("pause ends neither by SIGTERM nor by STOP while the process lives, and by either afterwards", async () => {
  await using box = await TestContainer.create({ argv: ["/bin/sleep", "100"] });
  const client = await box.client();
  await client.start();
  process.kill(box.pids!.pausePid, "SIGTERM");
  await assert.rejects(pauseClient.stop(box.container.pauseSocket), { code: "failed-precondition" });
  assert.ok(alive(box.pids!.pausePid));
  await client.kill({ signal: 9 });
  await client.wait();
  await client.shutdown({ pause: false });
  await until("the shim ends", () => client.closed);
  process.kill(box.pids!.pausePid, "SIGTERM");
  await until("pause ends", () => !alive(box.pids!.pausePid));
});

test("a file that can't be executed fails the start with its errno", async () => {
  await using box = await TestContainer.create({ argv: ["/bin/sleep", "100"] });
  const { writeFileSync } = await import("node:fs");
  const script = `${box.directory}/script`;
  writeFileSync(script, "#!/no/such/interpreter\n", { mode: 0o755 });
  const client = await box.client();
  await client.start();
  for (let n = 0; n < 30; n++) {
    const execId = `bad${n}`;
    await client.exec({ execId, stdio: {}, operations: stageOf([script]) });
    await assert.rejects(client.start(execId), (error: { facts: { errno: string } }) => error.facts.errno === "ENOENT");
    assert.equal((await client.wait(execId)).startedAtNs, undefined);
    await client.delete(execId);
  }
});
