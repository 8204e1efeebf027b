/**
 * Our own stdout and stderr without the runtime's terminal streams, which cost a command 11 ms of its start.
 * A closed reader and a full pipe are told as errors and waits, as by write(2).
 */
import { builtins } from "./builtins.ts";

export type OutputName = "stdout" | "stderr";

const descriptorOf = { stdin: 0, stdout: 1, stderr: 2 } as const;
const RETRY_MS = 2;
/** Shorter texts than this fit into an empty pipe whole. */
const SHORT_BYTES = 4096;

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
 * A command's own text. A short one is written at once: starting the runtime's threads for it would cost 3 ms. It may wait for a slow
 * reader, when the command has nothing else to do anyway. The runtime's own writes, which need no `node:fs` (4 ms), are none: to a file that is
 * appended to Bun.write puts zeros before the second piece, its FileSink leaves a pipe that others share non-blocking.
 */
export async function writeText(name: OutputName, text: string): Promise<void> {
  let rest: Uint8Array = Buffer.from(text);
  try {
    while (rest.length > 0 && rest.length <= SHORT_BYTES)
      rest = rest.subarray(builtins.fs.writeSync(descriptorOf[name], rest));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
  }
  await writeOutput(name, rest);
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
