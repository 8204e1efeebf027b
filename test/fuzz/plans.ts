/** Malformed plans and frames for `keel serve`, in a sandbox. */
import { once } from "node:events";
import { type OperationName, operations } from "../../src/keel/operations.ts";
import { encodeFrame, encodeRecord, FrameReader } from "../../src/keel/wire.ts";
import { Random } from "../random.ts";
import { type SandboxPlace, sandboxPlace, spawnSandbox } from "./sandbox.ts";

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

/** An operation with arguments of the right kinds, most of them senseless. */
export function randomRecord(random: Random): Buffer {
  const shape = operations[random.pick(names)];
  const lengthOff = random.below(20) === 0 ? 1 : 0;
  return encodeRecord({
    code: shape.code,
    flags: random.below(3) === 0 ? random.below(0xffff) : 0,
    ints: Array.from({ length: shape.ints.length + lengthOff }, () => random.pick(ints)).slice(0, 8),
    blobs: shape.blobs.map(() => Buffer.from(random.pick(texts), "latin1")),
  });
}

/** A few bytes changed, or the end cut off. */
export function damage(random: Random, bytes: Buffer): Buffer {
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
  const place = sandboxPlace(options.directory, options.keel);
  const end = Date.now() + options.seconds * 1000;
  let frames = 0;
  let processes = 0;
  for (; Date.now() < end; processes++) frames += await oneProcess(random, place, end);
  if (frames < 10 * processes)
    throw new Error(`only ${frames} frames in ${processes} processes: the sandbox does not work`);
  return { frames, processes };
}

async function oneProcess(random: Random, place: SandboxPlace, end: number): Promise<number> {
  const child = spawnSandbox(place);
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
  while (sent < FRAMES_PER_PROCESS && !ended && Date.now() < end) {
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
