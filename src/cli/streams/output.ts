/** Writing to our own stdout and stderr with back-pressure. A closed reader (`| head`) ends the command quietly. */
import { ExitError } from "../exit-error.ts";
import { Demultiplexer } from "./multiplexed.ts";

const SIGPIPE_EXIT = 141;

const watched = new WeakSet<NodeJS.WriteStream>();

/** A reader that has gone is told by an event too, which would end us with a stack trace. */
function watchForClosedReader(target: NodeJS.WriteStream): void {
  if (watched.has(target)) return;
  watched.add(target);
  target.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(SIGPIPE_EXIT);
    throw error;
  });
}

/** Resolves once the bytes have left (or are buffered by the kernel). */
export function write(target: NodeJS.WriteStream, bytes: Uint8Array | string): Promise<void> {
  watchForClosedReader(target);
  return new Promise((resolve, reject) => {
    target.write(bytes, (error) => {
      if (!error) resolve();
      else if ((error as NodeJS.ErrnoException).code === "EPIPE") reject(new ExitError(SIGPIPE_EXIT));
      else reject(error);
    });
  });
}

export const print = (text: string): Promise<void> => write(process.stdout, text);
export const printLine = (text: string): Promise<void> => write(process.stdout, `${text}\n`);
export const warn = (text: string): Promise<void> => write(process.stderr, `${text}\n`);

/** Copies the output of a process: raw bytes to stdout (a terminal), else each stream to its own. */
export async function copyOutput(source: AsyncIterable<Uint8Array>, terminal: boolean): Promise<void> {
  const frames = new Demultiplexer();
  for await (const received of source) {
    const bytes = Buffer.from(received.buffer, received.byteOffset, received.byteLength);
    if (terminal) {
      await write(process.stdout, bytes);
      continue;
    }
    for (const chunk of frames.push(bytes))
      await write(chunk.stream === 1 ? process.stdout : process.stderr, chunk.bytes);
  }
}

/** JSON values of a streamed answer, one per line or simply one after the other. */
export async function* jsonValues<T>(response: Response): AsyncGenerator<T> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      const line = text.slice(0, end).trim();
      text = text.slice(end + 1);
      if (line !== "") yield JSON.parse(line) as T;
    }
  }
  if (text.trim() !== "") yield JSON.parse(text) as T;
}
