import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { keelPath } from "../platform/paths.ts";
import { alive, until } from "./shim-harness.ts";
import { encodeFrame, FrameReader } from "./wire.ts";

const keel = process.env.KEEL ?? keelPath();
const PING = 6;

test("keel without a role, or with an unknown one, says how it is used", async () => {
  for (const args of [[], ["nothing"]]) {
    const child = spawn(keel, args, { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr.on("data", (chunk: Buffer) => {
      said += chunk.toString();
    });
    const [code] = await once(child, "close");
    assert.equal(code, 2);
    assert.match(said, /usage: keel serve\|/);
  }
});

test("serve refuses a malformed frame and ends", async () => {
  const child = spawn(keel, ["serve"], { stdio: ["pipe", "pipe", "ignore"] });
  const header = Buffer.alloc(12);
  header.writeUInt32LE(0xffff_ffff, 0);
  child.stdin.write(header);
  const reader = new FrameReader();
  const [chunk] = await once(child.stdout, "data");
  assert.equal([...reader.push(chunk as Buffer)][0]?.type, 0x8000);
  const [code] = await once(child, "exit");
  assert.equal(code, 1);
});

test("serve ends with its stdin", async () => {
  const child = spawn(keel, ["serve"], { stdio: ["pipe", "pipe", "ignore"] });
  child.stdin.end(encodeFrame(PING, 1, new Uint8Array(0)));
  const [code] = await once(child, "exit");
  assert.equal(code, 0);
});

test("where memory can't be executed keel runs from a read-only mount of its file", () => {
  const script = `echo 2 > /proc/sys/vm/memfd_noexec && exec 3</dev/null 4>/dev/null && ${keel} init create; echo code $?`;
  const output = execFileSync("unshare", ["--pid", "--fork", "--mount-proc", "sh", "-c", script]).toString();
  assert.equal(output, "code 1\n"); // it read an empty message: the copy was made and ran
});

test("keep starts its command again when it dies and passes SIGTERM on", async () => {
  const directory = mkdtempSync(join(tmpdir(), "keel-keep-"));
  const pids = () => readFileSync(join(directory, "pids"), "utf8").trim().split("\n").map(Number);
  const script = `echo $$ >> ${directory}/pids; trap 'exit 5' TERM; while :; do read -t 1 x; done`;
  const keeper = spawn(keel, ["keep", "--", "/bin/bash", "-c", script], { stdio: ["pipe", "ignore", "ignore"] });
  const ended = once(keeper, "exit");
  try {
    const count = (n: number) => until(`life ${n}`, () => safe(pids).length === n);
    await count(1);
    process.kill(pids()[0]!, "SIGKILL");
    await count(2);
    const last = pids()[1]!;
    keeper.kill("SIGTERM");
    const [code] = await ended;
    assert.equal(code, 5);
    assert.ok(!alive(last));
  } finally {
    keeper.kill("SIGKILL");
    for (const pid of safe(pids).filter(alive)) process.kill(pid, "SIGKILL");
    rmSync(directory, { recursive: true, force: true });
  }
});

function safe(list: () => number[]): number[] {
  try {
    return list();
  } catch {
    return [];
  }
}
