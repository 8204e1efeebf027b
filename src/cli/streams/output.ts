/** Writing to our own stdout and stderr with back-pressure. A closed reader (`| head`) ends the command quietly. */
import type { HttpResponse } from "../../platform/http-client.ts";
import { type OutputName, writeOutput, writeText } from "../../platform/standard-output.ts";
import { ExitError } from "../exit-error.ts";
import { Demultiplexer } from "./multiplexed.ts";

const SIGPIPE_EXIT = 141;

/** Resolves once the kernel has the bytes. */
export async function write(target: OutputName, bytes: Uint8Array | string): Promise<void> {
  try {
    await (typeof bytes === "string" ? writeText(target, bytes) : writeOutput(target, bytes));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EPIPE") throw new ExitError(SIGPIPE_EXIT);
    throw error;
  }
}

export const print = (text: string): Promise<void> => write("stdout", text);
export const printLine = (text: string): Promise<void> => write("stdout", `${text}\n`);
export const warn = (text: string): Promise<void> => write("stderr", `${text}\n`);

/** Copies the output of a process: raw bytes to stdout (a terminal), else each stream to its own. */
export async function copyOutput(source: AsyncIterable<Uint8Array>, terminal: boolean): Promise<void> {
  const frames = new Demultiplexer();
  for await (const received of source) {
    if (terminal) {
      await write("stdout", received);
      continue;
    }
    const bytes = Buffer.from(received.buffer, received.byteOffset, received.byteLength);
    for (const chunk of frames.push(bytes)) await write(chunk.stream === 1 ? "stdout" : "stderr", chunk.bytes);
  }
}

/** JSON values of a streamed answer, one per line or simply one after the other. */
export async function* jsonValues<T>(response: HttpResponse): AsyncGenerator<T> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of response.body) {
    text += decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      const line = text.slice(0, end).trim();
      text = text.slice(end + 1);
      if (line !== "") yield JSON.parse(line) as T;
    }
  }
  if (text.trim() !== "") yield JSON.parse(text) as T;
}
