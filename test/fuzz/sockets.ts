/**
 * Malformed messages on the sockets of `keel shim`, `keel pause` and `keel ports`, in a sandbox: whole frames, damaged ones, cut ones, raw
 * bytes, connections that end anywhere. Nothing may crash, and whoever lives must still answer.
 */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { describeContainer } from "../../src/keel/shim-client.ts";
import { stageOf } from "../../src/keel/shim-harness.ts";
import { decodeReply, encodeSection } from "../../src/keel/shim-records.ts";
import { encodeFrame, encodeRecord, FrameReader } from "../../src/keel/wire.ts";
import { Random } from "../random.ts";
import { damage, randomRecord } from "./plans.ts";
import { SANDBOX_USER, type SandboxPlace, sandboxPlace, sanitizerWords, spawnSandbox } from "./sandbox.ts";

const CONNECTIONS_PER_SANDBOX = 120;
const FRAMES_PER_CONNECTION = 6;
const ANSWER_MS = 10_000;
const code = { section: 0x100, container: 0x101, stdio: 0x102, log: 0x103, exec: 0x104 } as const;
const type = { launch: 2, ports: 9, info: 18, state: 32, bind: 48, list: 50 } as const;
/** A port bound under an id that nothing else names: QUIT, also one that a damaged header makes, is refused while it is there. */
const HELD_PORT = encodeRecord({ code: 0x118, ints: [0x5ea1ed, 6, 2, 0, 0, 0], blobs: ["127.0.0.1", ""] });
const INIT = ["/usr/bin/bash", "-c", "while sleep 0.02; do echo out; echo err >&2; done"];

interface Target {
  readonly path: string;
  /** Its requests, and the record that each carries; 0: none. Operations follow a section. */
  readonly requests: readonly (readonly [type: number, record: number])[];
  /** A question that anybody alive answers. */
  readonly question: number;
}

const shim: Target = {
  path: "/w/s/shim",
  requests: [
    [32, 0],
    [33, 0x114],
    [34, 0x113],
    [35, code.exec],
    [36, 0x111],
    [37, 0x112],
    [38, 0x114],
    [39, 0x114],
    [40, 0],
    [41, 0x114],
    [42, 0],
  ],
  question: type.state,
};
const pause: Target = {
  path: "/w/p/pause",
  requests: [
    [16, code.container],
    [17, 0],
    [18, 0],
    [19, 0],
  ],
  question: type.info,
};
const ports: Target = {
  path: "/w/ports.sock",
  requests: [
    [48, 0x118],
    [48, 0x118],
    [49, 0x118],
    [50, 0],
    [51, 0],
  ],
  question: type.list,
};

/** Ints and blobs of each record, as docs/protocols.md has them. */
const shapes: Readonly<Record<number, readonly [ints: number, blobs: number]>> = {
  [code.section]: [1, 0],
  [code.container]: [2, 6],
  [code.stdio]: [5, 4],
  [code.log]: [3, 1],
  [code.exec]: [1, 1],
  272: [5, 3],
  273: [1, 1],
  274: [2, 1],
  275: [2, 1],
  276: [0, 1],
  277: [0, 1],
  280: [6, 2],
};
const ints = [0, 1, 2, 3, 4, 6, 8, 17, 80, 4096, 65535, 65536, 0xffffffff, 2n ** 63n, 2n ** 64n - 1n];
const texts = [
  "",
  "a",
  "x1",
  "..",
  "/w",
  "/w/state",
  "/w/s/shim",
  "pipe:",
  "fifo:///w/f",
  "file:///w/out",
  "binary:///usr/bin/cat?a=b",
  "127.0.0.1",
  "::1",
  "0.0.0.0",
  "not an address",
  "y".repeat(300),
];

function recordOf(random: Random, number: number): Buffer {
  const [intCount, blobCount] = shapes[number] ?? [random.below(9), random.below(9)];
  const off = random.below(15) === 0 ? random.below(3) : 0;
  return encodeRecord({
    code: number,
    flags: random.below(4) === 0 ? random.below(0xffff) : 0,
    ints: Array.from({ length: Math.min(8, intCount + off) }, () => random.pick(ints)),
    blobs: Array.from({ length: blobCount }, () => random.pick(texts)),
  });
}

function payloadOf(random: Random, record: number): Buffer {
  const parts = record === 0 ? [] : [recordOf(random, record)];
  if (record === code.exec || record === code.container) {
    parts.push(recordOf(random, code.stdio));
    if (random.below(2) === 0) parts.push(recordOf(random, code.log));
    parts.push(encodeRecord({ code: code.section, ints: [random.below(4)] }));
    for (let n = random.below(5); n > 0; n--) parts.push(randomRecord(random));
  }
  if (random.below(5) === 0) parts.push(recordOf(random, random.pick(Object.keys(shapes).map(Number))));
  const bytes = Buffer.concat(parts);
  return random.below(2) === 0 ? damage(random, bytes) : bytes;
}

function messageOf(random: Random, { requests }: Target): Buffer {
  const [number, record] = random.pick(requests);
  const wrong = random.below(25) === 0;
  const frame = encodeFrame(
    wrong ? random.below(0xffff) : number,
    random.below(1000),
    payloadOf(random, record),
    random.below(3),
  );
  if (random.below(12) === 0) return damage(random, frame); // the header too
  return frame;
}

/** One connection: some messages, then a half frame, raw bytes, an end, or a cut. */
async function talk(random: Random, target: Target, path: string): Promise<number> {
  const socket = connect({ path, allowHalfOpen: true });
  const closed = once(socket, "close").catch(() => undefined);
  socket.on("error", () => undefined); // refused, or cut by the other side after a malformed frame
  socket.on("data", () => undefined);
  const sent = 1 + random.below(FRAMES_PER_CONNECTION);
  for (let n = 0; n < sent; n++) {
    const bytes = messageOf(random, target);
    const cut = random.below(4) === 0 ? random.below(bytes.length + 1) : bytes.length;
    socket.write(bytes.subarray(0, cut));
    if (random.below(3) === 0) await delay(1);
    socket.write(bytes.subarray(cut));
  }
  if (random.below(4) === 0) socket.write(Buffer.from([40, 0, 0, 0, 36, 0]));
  if (random.below(4) === 0) socket.write(Buffer.alloc(random.below(100_000), "raw"));
  if (random.below(2) === 0) socket.end();
  await Promise.race([closed, delay(random.below(8))]);
  socket.destroy();
  await closed;
  return sent;
}

/** An answer to a plain question; false: nobody listens there. Throws when somebody listens and says nothing. */
const answers = (target: Target, path: string): Promise<boolean> =>
  asks(target, path, target.question, Buffer.alloc(0));

async function asks(target: Target, path: string, question: number, payload: Buffer): Promise<boolean> {
  const socket: Socket = connect({ path });
  try {
    return await new Promise<boolean>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${target.path} does not answer any more`)), ANSWER_MS);
      const done = (value: boolean) => {
        clearTimeout(timer);
        resolve(value);
      };
      const reader = new FrameReader();
      socket.on("error", () => done(false)).on("close", () => done(false));
      socket.on("data", (chunk: Buffer) => {
        for (const frame of reader.push(chunk)) if (frame.id === 77) done(true);
      });
      socket.write(encodeFrame(question, 77, payload));
    });
  } finally {
    socket.destroy();
  }
}

/** The root of a sandbox as this machine sees it: of the one child that unshare forked, which is keel serve now. */
const rootOf = (pid: number): string =>
  `/proc/${readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")[0]}/root`;

function launchPayload(): Buffer {
  const container = {
    id: "fuzzed",
    namespace: "fuzz",
    stateDir: "/w/state",
    pauseSocket: pause.path,
    shimSocket: shim.path,
  };
  const stdio = { stdin: "pipe:", stdout: "pipe:", stderr: "pipe:", spillDir: "/w", spillBytes: 1 << 20 };
  const stage = stageOf(INIT, { pidNamespace: true });
  const head = describeContainer({ container, stdio, log: { path: "/w/log", maxBytes: 50_000, maxFiles: 2 } });
  return Buffer.concat([...head.map(encodeRecord), ...encodeSection("stage", stage)]);
}

export interface Outcome {
  readonly frames: number;
  readonly sandboxes: number;
  /** How often each answered after it had been spoken to. */
  readonly alive: number;
}

/** Throws with the sanitizer's words when a process did what it must not. */
export async function fuzzSockets(options: {
  keel: string;
  directory: string;
  seconds: number;
  seed: number;
}): Promise<Outcome> {
  const random = new Random(options.seed);
  const place = sandboxPlace(options.directory, options.keel);
  const end = Date.now() + options.seconds * 1000;
  let [frames, sandboxes, alive] = [0, 0, 0];
  for (; Date.now() < end; sandboxes++) {
    const round = await oneSandbox(random, place, end);
    frames += round.frames;
    alive += round.alive;
  }
  if (alive < sandboxes) throw new Error(`${alive} answers of ${sandboxes} sandboxes: they do not work`);
  return { frames, sandboxes, alive };
}

async function oneSandbox(
  random: Random,
  place: SandboxPlace,
  end: number,
): Promise<{ frames: number; alive: number }> {
  const child = spawnSandbox(place, true);
  const closed = once(child, "close");
  let words = "";
  child.stderr.on("data", (chunk: Buffer) => {
    words = (words + chunk.toString()).slice(-20_000);
  });
  child.stdin.on("error", () => undefined);
  const reader = new FrameReader();
  const answered = new Set<number>();
  child.stdout.on("data", (chunk: Buffer) => {
    for (const frame of reader.push(chunk)) {
      answered.add(frame.id);
      decodeReply("bring the sandbox up", frame.payload);
    }
  });
  const path = encodeRecord({ code: 0x115, blobs: [ports.path] });
  child.stdin.write(encodeFrame(type.launch, 1, launchPayload()));
  child.stdin.write(encodeFrame(type.ports, 2, path));
  try {
    for (const deadline = Date.now() + ANSWER_MS; !(answered.has(1) && answered.has(2)); await delay(5))
      if (Date.now() > deadline) throw new Error(`the sandbox does not come up:\n${words}`);
    const root = rootOf(child.pid!);
    process.seteuid!(SANDBOX_USER); // The sockets take nobody else.
    return await speakToAll(random, root, end);
  } finally {
    process.seteuid!(0);
    child.kill("SIGKILL");
    await closed;
  }
}

const childrenOf = (pid: string): string[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean);

const lives = (pid: string): boolean => {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
};

/** The processes under test: shims, pauses and ports have the default actions of signals, so that a fault leaves no words, only a gap. */
function cast(root: string): { readonly names: ReadonlyMap<string, string>; readonly init: string } {
  const serve = root.split("/")[2]!;
  const own = childrenOf(serve);
  const below = own.flatMap(childrenOf);
  const titled = [...own, ...below].map((pid) => [pid, readFileSync(`/proc/${pid}/cmdline`, "utf8")] as const);
  const names = new Map(titled.flatMap(([pid, title]) => [[pid, title.replaceAll("\0", " ").trim()]]));
  if (own.length !== 2 || below.length !== 1) throw new Error(`not pause, shim and ports: ${[...names.values()]}`);
  return { names, init: childrenOf(below[0]!)[0] ?? "" };
}

/** After the container's own end shim and pause may end too; a few more messages meet that. */
const AFTERWARDS = 15;

async function speakToAll(random: Random, root: string, end: number): Promise<{ frames: number; alive: number }> {
  let [frames, alive, afterwards] = [0, 0, 0];
  const at = (target: Target): string => root + target.path;
  const { names, init } = cast(root);
  if (!(await asks(ports, at(ports), type.bind, HELD_PORT)))
    throw new Error("keel ports does not take the port that is held");
  const start = connect({ path: at(shim) }).on("error", () => undefined);
  start.end(encodeFrame(33, 1, encodeRecord({ code: 0x114, blobs: [""] })));
  for (let n = 0; n < CONNECTIONS_PER_SANDBOX && afterwards < AFTERWARDS && Date.now() < end; n++) {
    const target = random.pick([shim, shim, pause, ports]);
    frames += await talk(random, target, at(target));
    const found = sanitizerWords(root);
    if (found !== "") throw new Error(`after messages to ${target.path}:\n${found}`);
    if (!lives(init)) afterwards++;
    else for (const [pid, name] of names) if (!lives(pid) && lives(init)) throw new Error(`${name} has died`);
    if (n % 10 === 9 && lives(init)) for (const one of [shim, pause, ports]) if (await answers(one, at(one))) alive++;
  }
  return { frames, alive };
}
