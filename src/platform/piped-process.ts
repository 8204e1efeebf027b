/**
 * A child that is talked to over its descriptors 3 (towards it) and 4 (from it), while 0, 1 and 2 are its own. Bun's own spawn takes
 * a tenth of the time of `node:child_process`.
 */
import { closeSync, writeSync } from "node:fs";
import { constants } from "node:os";

/** What is used of Bun's API. */
declare const Bun: {
  spawn(
    argv: readonly string[],
    options: { readonly stdio: readonly (Stdio | "pipe")[] },
  ): {
    readonly stdio: readonly (number | null | undefined)[];
    readonly exited: Promise<number>;
    readonly exitCode: number | null;
    readonly signalCode: NodeJS.Signals | null;
    kill(signal: NodeJS.Signals): void;
  };
  file(fd: number): { stream(): AsyncIterable<Uint8Array> };
};

export type Stdio = "inherit" | "ignore" | number;

/** Disposal closes descriptor 3, and 4 unless it is being read: who reads it closes it by reading to the end or by stopping. */
export interface PipedProcess extends Disposable {
  /** Its exit code; 128 and the signal's number when one ended it. */
  readonly exited: Promise<number>;
  /** Resolves once the kernel has all of it. A child that is gone is no error: its end shows elsewhere. */
  write(bytes: Uint8Array): Promise<void>;
  /** What comes from descriptor 4, until it is closed. */
  readonly output: AsyncIterable<Uint8Array>;
  kill(signal: NodeJS.Signals): void;
}

export interface PipedProcessRequest {
  readonly argv: readonly string[];
  readonly stdio: readonly [Stdio, Stdio, Stdio];
  /** Becomes its descriptor 5. */
  readonly extraFd?: number | undefined;
  /** Become its descriptors 6 and up. */
  readonly more?: readonly number[] | undefined;
}

const RETRY_MS = 1;

async function writeAll(fd: number, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EPIPE" || code === "ECONNRESET") return;
      if (code !== "EAGAIN") throw error;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

export function spawnPiped({ argv, stdio, extraFd, more = [] }: PipedProcessRequest): PipedProcess {
  const extra: Stdio[] = extraFd === undefined && more.length === 0 ? [] : [extraFd ?? "ignore", ...more];
  const child = Bun.spawn(argv, { stdio: [...stdio, "pipe", "pipe", ...extra] });
  const [, , , input, output] = child.stdio;
  if (typeof input !== "number" || typeof output !== "number") throw new Error(`spawn ${argv[0]}: no pipes`);
  let open = true;
  let isRead = false;
  return {
    exited: child.exited.then(() => child.exitCode ?? 128 + (signalNumber(child.signalCode) ?? 0)),
    write: (bytes) => writeAll(input, bytes),
    output: {
      [Symbol.asyncIterator]: () => {
        isRead = true;
        return untilClosed(output);
      },
    },
    kill: (signal) => child.kill(signal),
    [Symbol.dispose]: () => {
      if (!open) return;
      open = false;
      closeSync(input);
      if (!isRead) closeSync(output);
    },
  };
}

/** The runtime never closes it. */
async function* untilClosed(fd: number): AsyncGenerator<Uint8Array> {
  try {
    yield* Bun.file(fd).stream();
  } finally {
    closeSync(fd);
  }
}

const signalNumber = (name: NodeJS.Signals | null): number | undefined =>
  name === null ? undefined : constants.signals[name];
