import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { HullError } from "../platform/errors.ts";
import { keelPath } from "../platform/paths.ts";
import type { MeasuredStep } from "../trace/tracer.ts";
import { operation } from "./plan.ts";
import { commandOutput } from "./result.ts";
import { KeelServe } from "./serve.ts";
import { alive, until } from "./shim-harness.ts";

const directory = mkdtempSync(join(tmpdir(), "keel-serve-"));
const at = (name: string): string => join(directory, name);
const serve = await KeelServe.open();
after(async () => {
  await serve[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

const sleep = (seconds: string) => operation("command", { argv: ["/bin/sleep", seconds] });
const refused = (code: string, text: RegExp) => (error: unknown) => {
  assert.ok(error instanceof HullError, String(error));
  assert.equal(error.code, code, error.message);
  assert.match(error.message, text);
  return true;
};

test("a plan answers with one measured step per operation and the outputs by index", async () => {
  const { steps, outputs } = await serve.run([
    operation("mkdirAll", { path: at("a/b/c"), mode: 0o755 }),
    operation("writeFile", { path: at("a/b/c/f"), flags: 0o101, mode: 0o600, data: "seven" }),
    operation("readFile", { path: at("a/b/c/f"), maxBytes: 100 }),
  ]);
  assert.deepEqual(
    steps().map((step: MeasuredStep) => step.name),
    ["mkdirAll", "writeFile", "readFile"],
  );
  assert.ok(steps().every((step) => step.durationNs > 0 && step.startNs > 0n));
  assert.equal(outputs.get(2)?.toString(), "seven");
  assert.equal(outputs.size, 1);
});

test("a failing operation is named with its cause and position, and nothing after it runs", async () => {
  const plan = [
    operation("mkdir", { path: at("one"), mode: 0o755 }),
    operation("mount", { type: "proc", target: at("absent") }, { cause: "config.json /mounts/0" }),
    operation("mkdir", { path: at("two"), mode: 0o755 }),
  ];
  const text = /^mount .*absent: ENOENT \(config.json \/mounts\/0\), operation 1 of 3$/;
  await assert.rejects(serve.run(plan), refused("not-found", text));
  assert.ok(existsSync(at("one")) && !existsSync(at("two")));
});

test("a limit on namespaces that is reached names its sysctl", async () => {
  // The limits of a user namespace of its own: the machine's stay.
  const script = at("limited");
  const limit = "echo 0 >/proc/sys/user/max_net_namespaces";
  const keel = keelPath();
  writeFileSync(script, `#!/bin/sh\nexec unshare -Ur sh -c '${limit}; exec ${keel} "$@"' sh "$@"\n`, { mode: 0o755 });
  await using limited = await KeelServe.open({ path: script });
  const text =
    /a limit on namespaces is reached: raise the sysctl user\.max_net_namespaces, or end containers: unshare/;
  await assert.rejects(limited.run([operation("unshare", { flags: 0x40000000 })]), refused("resource-exhausted", text));
  await limited.run([operation("unshare", { flags: 0x04000000 })]); // Another kind is not limited.
});

test("a tolerated errno is told in the step and the plan goes on", async () => {
  const plan = [
    operation("rmdir", { path: at("never") }, { tolerate: ["ENOENT"] }),
    operation("mkdir", { path: at("three"), mode: 0o700 }),
  ];
  const { steps } = await serve.run(plan);
  assert.equal(steps()[0]!.attributes.tolerated, "ENOENT");
  assert.ok(existsSync(at("three")));
});

test("a command gets its stdin and answers with status, stdout and stderr", async () => {
  const shell = operation("command", { argv: ["/bin/sh", "-c", "cat; echo bad >&2; exit 3"], stdin: "in" });
  const { outputs } = await serve.run([shell]);
  const { waitStatus, stdout, stderr } = commandOutput(outputs.get(0)!);
  assert.deepEqual([waitStatus >> 8, stdout.toString(), stderr.toString()], [3, "in", "bad\n"]);
});

test("a checked command that fails is a failure with its words", async () => {
  const shell = operation("command", { argv: ["/bin/sh", "-c", "echo no such thing >&2; exit 1"], check: 1 });
  await assert.rejects(serve.run([shell]), /no such thing/);
});

test("a command that takes too long is killed", async () => {
  const slow = operation("command", { argv: ["/bin/sh", "-c", "exec sleep 100"], timeoutMs: 50 });
  await assert.rejects(serve.run([slow]), refused("internal", /ETIMEDOUT/));
});

test("plans run side by side and are answered as they end", async () => {
  const order: string[] = [];
  const slow = serve.run([sleep("0.3")]).then(() => order.push("slow"));
  const quick = serve.run([sleep("0")]).then(() => order.push("quick"));
  await Promise.all([slow, quick]);
  assert.deepEqual(order, ["quick", "slow"]);
});

test("an abort kills the plan and what it runs", async () => {
  const marker = at("pid");
  const abort = new AbortController();
  const script = `echo $$ > ${marker}; exec sleep 100`;
  const running = serve.run([operation("command", { argv: ["/bin/sh", "-c", script] })], { signal: abort.signal });
  await until("it runs", () => existsSync(marker) && readFileSync(marker, "utf8").endsWith("\n"));
  abort.abort();
  await assert.rejects(running, refused("cancelled", /cancelled/));
  const pid = Number(readFileSync(marker, "utf8"));
  await until("it is killed", () => !alive(pid));
});

test("a malformed plan is refused", async () => {
  const wrong = { ...operation("rmdir", { path: "/x" }), record: { code: 99, ints: [], blobs: [] } };
  await assert.rejects(serve.run([wrong]), /EPROTO/);
});

test("a lock is refused to another keel until its holder has gone", async () => {
  const path = at("lock");
  const first = await KeelServe.open();
  await first.lock(path);
  await first.lock(path);
  await assert.rejects(serve.lock(path), refused("conflict", /locked by another/));
  await first[Symbol.asyncDispose]();
  await serve.lock(path);
});

test("a lock that another took while a killed coprocess was replaced is taken again when that one has gone", async () => {
  const path = at("contended");
  const slow = at("slow-keel");
  writeFileSync(slow, `#!/bin/sh\nsleep 0.3\nexec ${keelPath()} "$@"\n`, { mode: 0o755 });
  const lost: string[] = [];
  await using mine = await KeelServe.open({ path: slow, onLockLost: (which) => lost.push(which) });
  await mine.lock(path);
  const other = await KeelServe.open();
  process.kill(mine.pid, "SIGKILL");
  await until("the other has it", async () =>
    other.lock(path).then(
      () => true,
      () => false,
    ),
  );
  await until("the loss was told", () => lost.length > 0);
  assert.deepEqual(lost, [path]);
  await other[Symbol.asyncDispose]();
  await until("it is taken again", async () => {
    await using third = await KeelServe.open();
    return third.lock(path).then(
      () => false,
      () => true,
    );
  });
});

test("a killed coprocess is replaced in less than 100 ms, with its locks; what was in flight fails", async () => {
  const restarted = Promise.withResolvers<string>();
  const mine = await KeelServe.open({ onRestarted: restarted.resolve });
  await mine.lock(at("kept"));
  const running = mine.run([sleep("100")]);
  const killedAt = performance.now();
  process.kill(mine.pid, "SIGKILL");
  await assert.rejects(running, refused("unavailable", /SIGKILL/));
  assert.match(await restarted.promise, /SIGKILL/);
  await mine.ping();
  assert.ok(performance.now() - killedAt < 100, `${performance.now() - killedAt} ms`);
  await assert.rejects(serve.lock(at("kept")), refused("conflict", /locked/));
  await mine[Symbol.asyncDispose]();
});

test("keel serve shows its role and runs from a sealed copy", () => {
  assert.equal(readFileSync(`/proc/${serve.pid}/comm`, "utf8"), "keel-serve\n");
  assert.match(readFileSync(`/proc/${serve.pid}/cmdline`, "utf8"), /^keel serve\0/);
  assert.match(readFileSync(`/proc/${serve.pid}/maps`, "utf8"), /memfd:keel/);
});
