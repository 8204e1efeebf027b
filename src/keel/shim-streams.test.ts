import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  createReadStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { after, test } from "node:test";
import type { ShimEvent } from "./shim-client.ts";
import { readAll, stageOf, stopServe, TestContainer, unframe, until } from "./shim-harness.ts";

after(stopServe);

const sh = (script: string): string[] => ["/bin/sh", "-c", script];
const MIB = 1024 * 1024;

test("200 MB arrive whole at a client that sleeps first, and the process does not wait for it", async () => {
  await using box = await TestContainer.create({ argv: sh("head -c 209715200 /dev/zero | tr '\\0' x"), log: false });
  const client = await box.client();
  const socket = await client.attach({ stdout: true, stderr: true });
  await client.start();
  await client.wait("", { signal: AbortSignal.timeout(30_000) });
  let raw = 0;
  socket.on("data", (chunk: Buffer) => {
    raw += chunk.length;
  });
  socket.resume();
  await once(socket, "end");
  socket.destroy();
  assert.ok(raw > 200 * MIB && raw < 202 * MIB, `${raw} bytes`);
});

test("a stuck client delays neither other clients, nor the log, nor signals, nor the exit", async () => {
  await using box = await TestContainer.create({ argv: sh("seq 1 200000; read x; exit 3") });
  const client = await box.client();
  const stuck = await client.attach({ stdout: true });
  const other = await client.attach({ stdout: true });
  const numbers = createHash("sha256")
    .update(Array.from({ length: 200_000 }, (_, n) => `${n + 1}\n`).join(""))
    .digest("hex");
  await client.start();
  const seen: Buffer[] = [];
  other.on("data", (chunk: Buffer) => seen.push(chunk));
  other.resume();
  await until("the log is complete", () => readFileSync(box.logPath).includes('"200000\\n'));
  const input = await client.attach({ stdin: true });
  input.write("x\n");
  assert.deepEqual((await client.wait()).status, { exitCode: 3 });
  await until("the other client has its end", () => other.readableEnded || other.destroyed);
  const { stdout } = unframe(Buffer.concat(seen));
  assert.equal(createHash("sha256").update(stdout).digest("hex"), numbers);
  assert.equal(
    createHash("sha256")
      .update(
        box
          .log()
          .map((one) => one.log)
          .join(""),
      )
      .digest("hex"),
    numbers,
  );
  const late = unframe(await readAll(stuck));
  assert.equal(createHash("sha256").update(late.stdout).digest("hex"), numbers);
  for (const socket of [stuck, other, input]) socket.destroy();
});

test("beyond its spill limit a client holds the process back, and gets every byte when it reads on", async () => {
  await using box = await TestContainer.create({
    argv: sh("head -c 8000000 /dev/zero; echo end >&2"),
    log: false,
    stdio: { spillBytes: MIB },
  });
  const client = await box.client();
  const slow = await client.attach({ stdout: true, raw: true });
  await client.start();
  const io = () => Number(/^wchar: (\d+)/m.exec(readFileSync(`/proc/${box.pids!.pid}/io`, "utf8"))?.[1]);
  await assert.rejects(client.wait("", { signal: AbortSignal.timeout(300) }));
  assert.equal((await client.state()).processes[0]?.state, "running");
  assert.ok(io() < 8_000_000);
  assert.equal((await readAll(slow)).length, 8_000_000);
  assert.deepEqual((await client.wait()).status, { exitCode: 0 });
  slow.destroy();
});

test("a client that leaves frees the process it held back", async () => {
  await using box = await TestContainer.create({
    argv: sh("head -c 8000000 /dev/zero"),
    log: false,
    stdio: { spillDir: "" },
  });
  const client = await box.client();
  const slow = await client.attach({ stdout: true, raw: true });
  await client.start();
  await assert.rejects(client.wait("", { signal: AbortSignal.timeout(200) }));
  slow.destroy();
  assert.deepEqual((await client.wait("", { signal: AbortSignal.timeout(5000) })).status, { exitCode: 0 });
});

test("an exit is told within the drain's bound although a child that lives on holds the pipe", async () => {
  await using box = await TestContainer.create({ argv: ["/bin/sleep", "100"] });
  const client = await box.client();
  await client.start();
  const stdio = { stdout: "pipe:", stderr: "pipe:" };
  await client.exec({ execId: "bg", stdio, operations: stageOf(sh("echo early; sleep 60 & exit 8")) });
  const socket = await client.attach({ execId: "bg", stdout: true });
  await client.start("bg");
  const began = Date.now();
  assert.deepEqual((await client.wait("bg")).status, { exitCode: 8 });
  const took = Date.now() - began;
  assert.ok(took > 1500 && took < 4000, `${took} ms`);
  assert.equal(unframe(await readAll(socket)).stdout.toString(), "early\n");
  socket.destroy();
});

test("no log line is lost when a process writes and exits at once, a hundred times", async () => {
  await using box = await TestContainer.create({
    argv: sh("i=0; while [ $i -lt 100 ]; do sh -c 'printf x'; i=$((i+1)); done; printf end"),
  });
  const client = await box.client();
  await client.start();
  await client.wait();
  assert.equal(
    box
      .log()
      .map((one) => one.log)
      .join(""),
    `${"x".repeat(100)}end`,
  );
  const execs = Array.from({ length: 50 }, (_, n) => n);
  await using second = await TestContainer.create({ argv: ["/bin/sleep", "100"] });
  const runner = await second.client();
  await runner.start();
  for (const n of execs) {
    const execId = `e${n}`;
    await runner.exec({ execId, stdio: { stdout: "pipe:" }, operations: stageOf(sh(`printf ${n}; exit ${n}`)) });
    const socket = await runner.attach({ execId, stdout: true, raw: true });
    await runner.start(execId);
    assert.equal((await readAll(socket)).toString(), String(n));
    assert.deepEqual((await runner.wait(execId)).status, { exitCode: n });
    await runner.delete(execId);
    socket.destroy();
  }
  const { shimPid, pausePid } = await runner.state();
  for (const pid of [shimPid, pausePid]) assert.ok(readdirSync(`/proc/${pid}/fd`).length < 20, "no descriptor leaks");
});

test("execs that end as the container is killed are told before init", async () => {
  await using box = await TestContainer.create({ argv: ["/bin/sleep", "100"] });
  const order: string[] = [];
  const onEvent = (event: ShimEvent) => event.kind === "exited" && order.push(event.process.execId);
  const client = await box.client({ onEvent });
  await client.subscribe();
  await client.start();
  for (let n = 0; n < 10; n++) {
    const operations = stageOf(["/bin/sleep", "100"], { joinInit: true });
    await client.exec({ execId: `e${n}`, stdio: { stdout: "pipe:" }, operations, startNow: true });
  }
  const kills = Array.from({ length: 10 }, (_, n) => client.kill({ execId: `e${n}`, signal: 9 }));
  await Promise.all([...kills, client.kill({ signal: 9 })]);
  await client.wait();
  assert.equal(order.length, 11);
  assert.equal(order.at(-1), "");
});

test("the log turns over by size without losing or tearing a line of either stream", async () => {
  const script = "i=0; while [ $i -lt 300 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done";
  await using box = await TestContainer.create({ argv: sh(script), log: { maxBytes: 20_000, maxFiles: 4 } });
  const client = await box.client();
  await client.start();
  await client.wait();
  for (const stream of ["stdout", "stderr"]) {
    const lines = box.log().filter((one) => one.stream === stream);
    assert.deepEqual(
      lines.map((one) => one.log),
      Array.from({ length: 300 }, (_, n) => `${stream.slice(3)} ${n}\n`),
    );
  }
  assert.ok(existsSync(`${box.logPath}.2`));
  assert.ok(statSync(`${box.logPath}.1`).size < 21_000);
  assert.equal(existsSync(`${box.logPath}.4`), false);
});

test("a log entry is what Docker writes: parts of 16 KiB, escapes, replaced bytes, trimmed times", async () => {
  const script = `head -c 40000 /dev/zero | tr '\\0' a; echo; printf '<&>"\\\\\\t\\r\\001\\377\\342\\200\\250z\\n'; printf tail`;
  await using box = await TestContainer.create({ argv: sh(script) });
  const client = await box.client();
  await client.start();
  await client.wait();
  const lines = box.log();
  assert.deepEqual(
    lines.map((one) => one.log.length),
    [16384, 16384, 7233, lines[3]!.log.length, 4],
  );
  assert.equal(lines[0]!.time, lines[2]!.time);
  const entry = readFileSync(box.logPath, "utf8").split("\n")[3]!;
  const text = String.raw`{"log":"\u003c\u0026\u003e\"\\\u0009\r\u0001\ufffd\u2028z\n","stream":"stdout","time":"`;
  assert.equal(entry.slice(0, text.length), text);
  assert.match(lines[3]!.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z$/);
});

test("a full disk costs log lines, never the container", async () => {
  await using box = await TestContainer.create({
    argv: sh("echo one; read x; seq 1 20000; echo last; read y; echo after"),
    log: false,
  });
  const small = join(box.directory, "small");
  mkdirSync(small);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "none", small]);
  try {
    await using full = await TestContainer.create({ argv: box.launched.argv, logPath: join(small, "log") });
    const client = await full.client();
    await client.start();
    const input = await client.attach({ stdin: true, stdout: true, raw: true });
    let seen = "";
    input.on("data", (chunk: Buffer) => {
      seen += chunk.toString();
    });
    input.resume();
    input.write("x\n");
    await until("everything was written by the process", () => seen.endsWith("last\n"));
    assert.match((await client.state()).message, /log lines could not be written/);
    writeFileSync(full.logPath, "");
    input.write("y\n");
    assert.deepEqual((await client.wait()).status, { exitCode: 0 });
    assert.deepEqual(
      full.log().map((one) => one.log),
      ["after\n"],
    );
    input.destroy();
  } finally {
    execFileSync("umount", ["-l", small]);
    rmdirSync(small);
  }
});

test("FIFOs carry stdio as containerd's clients expect, in and out", async () => {
  await using box = await TestContainer.create({ argv: ["/bin/true"] });
  const [stdin, stdout, stderr] = ["in", "out", "err"].map((name) => join(box.directory, name)) as [
    string,
    string,
    string,
  ];
  execFileSync("mkfifo", [stdin, stdout, stderr]);
  const stdio = { stdin: `fifo://${stdin}`, stdout: `fifo://${stdout}`, stderr };
  await using cat = await TestContainer.create({ argv: sh("cat; echo bye >&2; exit 2"), stdio });
  const client = await cat.client();
  const output = createReadStream(stdout).setEncoding("utf8");
  const errors = createReadStream(stderr).setEncoding("utf8");
  let text = "";
  output.on("data", (chunk) => {
    text += chunk;
  });
  errors.on("data", (chunk) => {
    text += chunk;
  });
  const readersEnded = Promise.all([once(output, "close"), once(errors, "close")]);
  await client.start();
  const writer = spawn("/bin/sh", ["-c", `echo hello > ${stdin}`]);
  const written = once(writer, "exit");
  assert.deepEqual((await client.wait()).status, { exitCode: 2 });
  await Promise.all([readersEnded, written]);
  assert.deepEqual(text.split("\n").sort(), ["", "bye", "hello"]);
});

test("output goes straight to a file, or to a logger of the user's", async () => {
  await using box = await TestContainer.create({ argv: ["/bin/true"] });
  const file = join(box.directory, "out.txt");
  await using writes = await TestContainer.create({
    argv: sh("echo to file; exit 0"),
    stdio: { stdout: `file://${file}`, stderr: "" },
  });
  const client = await writes.client();
  await client.start();
  await client.wait();
  assert.equal(readFileSync(file, "utf8"), "to file\n");

  const logger = join(box.directory, "logger");
  const copy = join(box.directory, "copy");
  writeFileSync(
    logger,
    `#!/bin/sh\nexec 5>&-\n{ echo "$CONTAINER_ID $1 $2"; cat <&3; cat <&4; } > ${copy}.tmp; mv ${copy}.tmp ${copy}\n`,
    { mode: 0o755 },
  );
  const uri = `binary://${logger}?mode=a%20b`;
  await using logged = await TestContainer.create({
    argv: sh("echo o; echo e >&2"),
    stdio: { stdout: uri, stderr: uri },
  });
  const second = await logged.client();
  await second.start();
  await second.wait();
  await until("the logger has ended", () => existsSync(copy));
  assert.equal(readFileSync(copy, "utf8"), `${logged.id} mode a b\no\ne\n`);
});

const memory = "/sys/fs/cgroup/memory";

test("an OOM kill is told by an event and in the exit", {
  skip: existsSync(memory) ? false : "no cgroup v1 memory controller",
}, async () => {
  const group = join(memory, `shim-test-${process.pid}`);
  mkdirSync(group);
  try {
    writeFileSync(join(group, "memory.limit_in_bytes"), "20000000");
    await using box = await TestContainer.create({ argv: sh("exec tail /dev/zero"), memoryCgroup: group });
    const events: ShimEvent[] = [];
    const client = await box.client({ onEvent: (event) => events.push(event) });
    await client.subscribe();
    writeFileSync(join(group, "cgroup.procs"), String(box.pids!.pid));
    await client.start();
    const ended = await client.wait();
    assert.deepEqual(ended.status, { signal: 9, coreDumped: false });
    assert.equal(ended.oomKilled, true);
    assert.deepEqual(
      events.map((event) => event.kind),
      ["oom", "exited"],
    );
  } finally {
    rmdirSync(group);
  }
});

test("an idle shim and pause never wake, and take less than 300 KB of their own together", async () => {
  await using box = await TestContainer.create({ argv: sh("seq 1 20000; printf prompt; sleep 100") });
  const client = await box.client();
  const socket = await client.attach({ stdout: true, stderr: true });
  socket.resume();
  await client.start();
  await until("the output is logged", () => box.log().length === 20000);
  socket.destroy();
  const pids = [box.pids!.shimPid, box.pids!.pausePid];
  const wakeups = () =>
    pids.map((pid) => /^voluntary_ctxt_switches:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]);
  await until("the shim sleeps", async () => {
    const before = wakeups().join();
    await new Promise((resolve) => setTimeout(resolve, 200));
    return wakeups().join() === before;
  });
  const before = wakeups();
  await new Promise((resolve) => setTimeout(resolve, 1000));
  assert.deepEqual(wakeups(), before);
  const own = (pid: number) =>
    [...readFileSync(`/proc/${pid}/smaps_rollup`, "utf8").matchAll(/^Private_\w+:\s+(\d+) kB/gm)].reduce(
      (sum, m) => sum + Number(m[1]),
      0,
    );
  const kilobytes = pids.map(own);
  console.log(`private memory of shim and pause: ${kilobytes.join(" + ")} kB`);
  assert.ok(kilobytes[0]! + kilobytes[1]! < 300, `${kilobytes}`);
  const title = readFileSync(`/proc/${box.pids!.shimPid}/cmdline`, "utf8").replace(/[\0.]*$/, "");
  assert.equal(title, `keel shim test ${box.id}`);
  assert.equal(readFileSync(`/proc/${box.pids!.pausePid}/comm`, "utf8"), "pause\n");
});

test("malformed messages are answered with EPROTO and change nothing", async () => {
  await using box = await TestContainer.create({ argv: ["/bin/sleep", "100"] });
  const client = await box.client();
  await client.start();
  const send = async (bytes: Buffer): Promise<number> => {
    const socket = connect(box.container.shimSocket);
    socket.write(bytes);
    const [reply] = (await once(socket, "data")) as [Buffer];
    socket.destroy();
    return Number(reply.readBigUInt64LE(12 + 8 + 8));
  };
  const frame = (type: number, payload: Buffer, length = payload.length): Buffer => {
    const head = Buffer.alloc(12);
    head.writeUInt32LE(length, 0);
    head.writeUInt16LE(type, 4);
    return Buffer.concat([head, payload]);
  };
  const EPROTO = 71;
  assert.equal(await send(frame(999, Buffer.alloc(0))), EPROTO);
  assert.equal(await send(frame(34, Buffer.from("rubbish!"))), EPROTO);
  assert.equal(await send(frame(35, Buffer.alloc(64, 0xff))), EPROTO);
  assert.equal(await send(frame(32, Buffer.alloc(0), 0x7fffffff)), EPROTO);
  assert.equal((await client.state()).processes[0]?.state, "running");
});
