/**
 * Archives compressed with xz or bzip2, which keel does not read: this host's own programs do, as a pipe. Others pass as they are.
 * The work is the program's; here bytes are only handed on.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable, Writable } from "node:stream";
import { HullError, messageOf } from "../../platform/errors.ts";

/** First bytes (the xz file format, section 2.1.1.1; bzip2 has no specification but its program) and who reads what follows. */
const formats = [
  { magic: Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]), program: "xz", package: "xz-utils" },
  { magic: Buffer.from("BZh"), program: "bzip2", package: "bzip2" },
] as const;
type Format = (typeof formats)[number];

const HEAD_BYTES = 6;
const MOST_WORDS = 4096;

/** The bytes of `body`, decompressed. Throws invalid-argument with the program's words; leaving it early ends the program. */
export async function* decompressed(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const source = body[Symbol.asyncIterator]();
  let head: Uint8Array = Buffer.alloc(0);
  while (head.length < HEAD_BYTES) {
    const { done, value } = await source.next();
    if (done) break;
    head = Buffer.concat([head, value]);
  }
  const whole = startingWith(head, source);
  const format = formats.find(({ magic }) => magic.equals(head.subarray(0, magic.length)));
  yield* format ? throughProgram(format, whole) : whole;
}

async function* startingWith(head: Uint8Array, rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (head.length > 0) yield head;
  try {
    for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
  } finally {
    await rest.return?.();
  }
}

async function* throughProgram(format: Format, body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const child = spawn(format.program, ["-dc"], { stdio: ["pipe", "pipe", "pipe"] });
  const ended = endOf(child, format.program);
  ended.catch(() => undefined); // Awaited below, after the output.
  await once(child, "spawn").catch((error: unknown) => {
    throw notThere(format, error);
  });
  let cut: unknown;
  const fed = feed(child.stdin, body).catch((error: unknown) => {
    cut = error;
    child.kill("SIGKILL");
  });
  try {
    yield* child.stdout;
    await fed;
    if (cut !== undefined) throw cut;
    await ended;
  } finally {
    child.kill("SIGKILL");
  }
}

const notThere = ({ program, package: name }: Format, error: unknown): HullError =>
  new HullError(
    "failed-precondition",
    `the archive is compressed with ${program}, which this host can't run (${messageOf(error)}): install ${name}, or decompress the archive first`,
    { cause: error },
  );

/** A program that ends early says why itself: a broken pipe is no error. */
async function feed(stdin: Writable, body: AsyncIterable<Uint8Array>): Promise<void> {
  const gone = once(stdin, "close").catch(() => undefined);
  stdin.on("error", () => undefined);
  for await (const chunk of body) {
    if (stdin.destroyed) return;
    if (!stdin.write(chunk)) await Promise.race([once(stdin, "drain").catch(() => undefined), gone]);
  }
  stdin.end();
}

async function endOf(child: ChildProcessByStdio<Writable, Readable, Readable>, program: string): Promise<void> {
  let words = "";
  child.stderr.on("data", (chunk: Buffer) => {
    words = (words + chunk.toString()).slice(-MOST_WORDS);
  });
  const [code] = (await once(child, "close")) as [number | null];
  if (code === 0) return;
  throw new HullError("invalid-argument", words.trim() || `${program} ended with ${code ?? "a signal"}`);
}
