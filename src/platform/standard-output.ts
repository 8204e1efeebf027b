/**
 * Our own stdout and stderr without the runtime's terminal streams, which cost a command 11 ms of its start.
 * A closed reader and a full pipe are told as errors and waits, as by write(2).
 */
import { builtins } from "./builtins.ts";

/** What is used of Bun's API. */
declare const Bun: {
  readonly stdout: object;
  readonly stderr: object;
  /** One write(2), at once; what a descriptor that does not block refuses is tried again later, from the beginning. */
  write(target: object, bytes: Uint8Array): Promise<number>;
};

export type OutputName = "stdout" | "stderr";

const descriptorOf = { stdin: 0, stdout: 1, stderr: 2 } as const;
const RETRY_MS = 2;
/** A pipe takes as much as this whole or not at all (pipe(7)); of more, what a non-blocking one took would be written again. */
const PIPE_BUF = 4096;

/** Writes all of it; the loop goes on meanwhile. Throws the error of write(2), EPIPE for a reader that has gone. */
export async function writeOutput(name: OutputName, bytes: Uint8Array): Promise<void> {
  for (let rest = bytes; rest.length > 0; ) {
    const written = await writeSome(descriptorOf[name], rest);
    if (written === "full") await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    else rest = rest.subarray(written);
  }
}

/** "full": the descriptor does not block (somebody who shares it wished so) and takes nothing now. */
function writeSome(fd: number, bytes: Uint8Array): Promise<number | "full"> {
  return new Promise((resolve, reject) => {
    builtins.fs.write(fd, bytes, (error, written) => {
      if (!error) resolve(written);
      else if (error.code === "EAGAIN") resolve("full");
      else reject(error);
    });
  });
}

/**
 * A command's own text, written at once: `node:fs` and the runtime's threads would cost 4 and 3 ms. It may wait for a slow reader, when the
 * command has nothing else to do anyway.
 */
export async function writeText(name: OutputName, text: string): Promise<void> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += PIPE_BUF) await Bun.write(Bun[name], bytes.subarray(at, at + PIPE_BUF));
}

/** The last words of a process: written before it returns, however slow the reader. A reader that has gone misses them. */
export function writeNow(name: OutputName, text: string): void {
  for (let rest: Uint8Array = Buffer.from(text); rest.length > 0; ) {
    try {
      rest = rest.subarray(builtins.fs.writeSync(descriptorOf[name], rest));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
    }
  }
}

const NULL_DEVICE = 0x103;

/** Whether a descriptor leads to a terminal. Files, pipes and /dev/null are told without the runtime's terminal module (5 ms). */
export function isTerminal(name: OutputName | "stdin"): boolean {
  const fd = descriptorOf[name];
  try {
    const { rdev, mode } = builtins.fs.fstatSync(fd);
    const isCharacterDevice = (mode & 0o170000) === 0o020000;
    if (!isCharacterDevice || rdev === NULL_DEVICE) return false;
  } catch {
    // A closed descriptor is no terminal.
    return false;
  }
  return process.getBuiltinModule("node:tty").isatty(fd);
}
