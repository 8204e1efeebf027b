/**
 * A command's stdout and stderr: two FIFOs, so that /dev/stdout can be opened in the container as usual, and a command that is ahead of its reader
 * waits.
 *
 * Lifecycle: `openOutput` -> the writing ends go to the command -> `release` them here -> `drain` until its end -> disposal.
 */
import { Buffer } from "node:buffer";
import { closeSync, constants, openSync, unlinkSync } from "node:fs";
import { again } from "../../keel/again.ts";
import { operation } from "../../keel/plan.ts";
import type { KeelServe } from "../../keel/serve.ts";
import { descriptorStream } from "../../platform/descriptor-stream.ts";
import { O_DIRECTORY_PATH, S_IFIFO } from "../../runc/kernel-constants.ts";

export type OnOutput = (stream: 1 | 2, data: Uint8Array) => void | Promise<void>;

const PIECE_BYTES = 64 * 1024;
const STREAMS = [1, 2] as const;

class Descriptor implements Disposable {
  #isOpen = true;
  readonly fd: number;

  constructor(path: string, flags: number) {
    this.fd = openSync(path, flags);
  }

  [Symbol.dispose](): void {
    if (this.#isOpen) closeSync(this.fd);
    this.#isOpen = false;
  }
}

export class CommandOutput implements Disposable {
  readonly #readers: readonly Descriptor[];
  readonly #writers: readonly Descriptor[];

  constructor(paths: readonly string[]) {
    using opened = new DisposableStack();
    // In this order neither waits for the other.
    this.#readers = paths.map((path) => opened.use(new Descriptor(path, constants.O_RDONLY | constants.O_NONBLOCK)));
    this.#writers = paths.map((path) => opened.use(new Descriptor(path, constants.O_WRONLY)));
    opened.move();
  }

  /** Of stdout and of stderr. */
  get writers(): readonly [number, number] {
    return [this.#writers[0]!.fd, this.#writers[1]!.fd];
  }

  /** The command has its own. */
  release(): void {
    for (const writer of this.#writers) writer[Symbol.dispose]();
  }

  /** Until nobody can write any more. After an abort the rest is read and dropped. */
  async drain(onOutput: OnOutput, signal: AbortSignal): Promise<void> {
    const aborted = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    const tell = async (stream: 1 | 2, data: Uint8Array): Promise<void> => {
      if (!signal.aborted) await Promise.race([onOutput(stream, data), aborted]);
    };
    await Promise.all(this.#readers.map(({ fd }, i) => pass(fd, (data) => tell(STREAMS[i]!, data))));
  }

  [Symbol.dispose](): void {
    for (const descriptor of [...this.#readers, ...this.#writers]) descriptor[Symbol.dispose]();
  }
}

async function pass(fd: number, tell: (data: Uint8Array) => Promise<void>): Promise<void> {
  for await (const chunk of descriptorStream(fd))
    for (let at = 0; at < chunk.length; at += PIECE_BYTES)
      await tell(Buffer.from(chunk.subarray(at, at + PIECE_BYTES)));
}

/** FIFOs in `directory`, nameless once opened. */
export async function openOutput(keel: Pick<KeelServe, "run">, directory: string): Promise<CommandOutput> {
  const names = ["stdout", "stderr"];
  const cause = "output of the command";
  const operations = [
    operation("open", { slot: 0, flags: O_DIRECTORY_PATH, path: directory }, { cause }),
    ...names.map((name) => operation("mknodIn", { rootSlot: 0, mode: S_IFIFO | 0o600, path: `/${name}` }, { cause })),
  ];
  await again(() => keel.run(operations));
  const paths = names.map((name) => `${directory}/${name}`);
  try {
    return new CommandOutput(paths);
  } finally {
    for (const path of paths) unlinkSync(path);
  }
}
