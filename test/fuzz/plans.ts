/**
 * Malformed plans and frames for `keel serve`, in a user, mount, pid, network and ipc namespace of an unprivileged user, whose root is
 * a tmpfs: whatever a plan is turned into, it can do no harm.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { type OperationName, operations } from "../../src/keel/operations.ts";
import { encodeFrame, encodeRecord, FrameReader } from "../../src/keel/wire.ts";
import { Random } from "./random.ts";

const FRAMES_PER_PROCESS = 200;
const END_MS = 10_000;
const PLAN = 1;
const CANCEL = 7;
const requestTypes = [1, 1, 1, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x4001, 77];
const ints = [0, 1, 2, 3, 63, 64, 0o644, 0xffff, 0xffffffff, 2n ** 63n, 2n ** 64n - 1n];
const texts = [
  "",
  "/",
  ".",
  "..",
  "/w",
  "/w/a/b/c",
  "/w/../../x",
  "/absent/path",
  "/w/link",
  "w\0x\0/y\0",
  "/usr/bin/true\0",
  "127.0.0.1:0",
  "[::1]:99999",
  "root:root",
  "x".repeat(5000),
  "net/ipv4/ip_forward",
  "\xff\xfe",
];
/** Left out whole: they would end or stop the very process that is tested. */
const left = new Set<OperationName>(["kill", "waitStart", "waitFifo"]);
const names = (Object.keys(operations) as OperationName[]).filter((name) => !left.has(name));

function randomRecord(random: Random): Buffer {
  const shape = operations[random.pick(names)];
  const lengthOff = random.below(20) === 0 ? 1 : 0;
  return encodeRecord({
    code: shape.code,
    flags: random.below(3) === 0 ? random.below(0xffff) : 0,
    ints: Array.from({ length: shape.ints.length + lengthOff }, () => random.pick(ints)).slice(0, 8),
    blobs: shape.blobs.map(() => Buffer.from(random.pick(texts), "latin1")),
  });
}

function damage(random: Random, bytes: Buffer): Buffer {
  for (let n = random.below(4); n > 0 && bytes.length > 0; n--) bytes[random.below(bytes.length)] = random.below(256);
  return random.below(8) === 0 ? bytes.subarray(0, random.below(bytes.length + 1)) : bytes;
}

function randomPayload(random: Random): Buffer {
  const records: Buffer[] = [];
  for (let n = random.below(8); n >= 0; n--) {
    const section = encodeRecord({
      code: 0x100 + random.below(0x1a),
      ints: [random.pick(ints)],
      blobs: [random.pick(texts)],
    });
    records.push(random.below(6) === 0 ? section : randomRecord(random));
  }
  const bytes = Buffer.concat(records);
  return random.below(2) === 0 ? damage(random, bytes) : bytes;
}

const sandboxScript = `
  mount -t tmpfs none "$1" && cd "$1" && mkdir usr proc tmp w dev run old
  ln -s usr/bin bin; ln -s usr/lib lib; ln -s usr/lib64 lib64; ln -s w/nowhere w/link
  mount --rbind /usr usr && mount -t proc proc proc && cp "$2" keel && cp /etc/ld.so.cache w/
  : > dev/null; mount --bind /dev/null dev/null
  mkdir etc && mv w/ld.so.cache etc/ && cd "$1" && /usr/sbin/pivot_root . old && umount -l /old && exec /keel serve`;

export interface Outcome {
  readonly frames: number;
  readonly processes: number;
}

/** Throws with the sanitizer's words when the process under test did what it must not. */
export async function fuzzPlans(options: {
  keel: string;
  directory: string;
  seconds: number;
  seed: number;
}): Promise<Outcome> {
  const random = new Random(options.seed);
  const root = join(options.directory, "root");
  mkdirSync(root, { mode: 0o777 });
  chmodSync(root, 0o777);
  chmodSync(options.directory, 0o755);
  const keel = join(options.directory, "keel");
  copyFileSync(options.keel, keel);
  chmodSync(keel, 0o755);
  const end = Date.now() + options.seconds * 1000;
  let frames = 0;
  let processes = 0;
  for (; Date.now() < end; processes++) frames += await oneProcess(random, { root, keel, end });
  if (frames < 10 * processes)
    throw new Error(`only ${frames} frames in ${processes} processes: the sandbox does not work`);
  return { frames, processes };
}

async function oneProcess(random: Random, at: { root: string; keel: string; end: number }): Promise<number> {
  const sandbox = [
    "--reuid=100000",
    "--regid=100000",
    "--clear-groups",
    "unshare",
    "-rmpnuif",
    "--kill-child",
    "bash",
    "-c",
  ];
  const child = spawn("setpriv", [...sandbox, sandboxScript, "sandbox", at.root, at.keel], {
    stdio: ["pipe", "pipe", "pipe"],
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", ASAN_OPTIONS: "detect_leaks=0:allocator_may_return_null=1" },
  });
  const closed = once(child, "close");
  let words = "";
  let ended = false;
  let wake = () => {};
  const reader = new FrameReader();
  const answered = new Set<number>();
  child.stderr.on("data", (chunk: Buffer) => {
    words = (words + chunk.toString()).slice(-20_000);
  });
  child.stdin.on("error", () => {}); // it may close the stream after a malformed frame
  child.stdout.on("data", (chunk: Buffer) => {
    for (const frame of reader.push(chunk)) answered.add(frame.id);
    wake();
  });
  closed.then(() => {
    ended = true;
    wake();
  });
  let sent = 0;
  while (sent < FRAMES_PER_PROCESS && !ended && Date.now() < at.end) {
    const id = ++sent;
    const payload = randomPayload(random);
    const type = random.below(3) === 0 ? random.pick(requestTypes) : PLAN;
    child.stdin.write(encodeFrame(type, id, payload));
    if (random.below(30) === 0) child.stdin.write(encodeFrame(CANCEL, id, Buffer.alloc(0)));
    await answer(id);
    if (random.below(100) === 0) break;
  }
  if (random.below(2) === 0) child.stdin.write(Buffer.from([9, 0, 0, 0, 1, 0])); // half a frame, then the end
  child.stdin.end();
  let stuck = false;
  const killer = setTimeout(() => {
    stuck = true;
    child.kill("SIGKILL");
  }, END_MS);
  await closed;
  clearTimeout(killer);
  if (stuck) throw new Error(`keel serve did not end with its stdin, after ${sent} frames\n${words}`);
  if (/AddressSanitizer|runtime error:|LeakSanitizer/.test(words)) throw new Error(`keel serve:\n${words}`);
  return sent;

  /** An answer, the end of the process, or (an operation may rightly wait) a while and a CANCEL. */
  async function answer(id: number): Promise<void> {
    const deadline = Date.now() + 300;
    while (!answered.has(id) && !ended && Date.now() < deadline) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 50);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    if (!answered.has(id) && !ended) child.stdin.write(encodeFrame(CANCEL, id, Buffer.alloc(0)));
  }
}
