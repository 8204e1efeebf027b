/**
 * A hijacked connection joined to our own stdin, stdout and stderr. Lifecycle: open -> both directions run -> the
 * output ends (`done`) -> dispose (gives the terminal and stdin back).
 */
import type { ByteStream } from "../../platform/byte-stream.ts";
import type { RawStream } from "../../platform/http-client.ts";
import { DetachWatch } from "./detach-keys.ts";
import { copyOutput } from "./output.ts";
import { rawMode } from "./terminal.ts";

export interface AttachOptions {
  readonly terminal: boolean;
  readonly stdin: boolean;
  /** Only terminals can be detached from; undefined: the default keys. */
  readonly detachKeys?: string | undefined;
}

export type AttachEnd = "ended" | "detached";

export interface Attached extends Disposable {
  /** Settles when the process's output has ended and been written, or the detach keys were typed. */
  readonly done: Promise<AttachEnd>;
}

export function attachStreams({ stream }: RawStream, options: AttachOptions): Attached {
  using cleanup = new DisposableStack();
  if (options.stdin && options.terminal) cleanup.use(rawMode());
  const watch = options.terminal ? new DetachWatch(options.detachKeys) : undefined;
  let end: AttachEnd = "ended";
  const onTyped = (bytes: Uint8Array) => {
    if (watch?.saw(bytes)) end = "detached";
  };
  if (options.stdin) cleanup.use(forwardStdin(stream, onTyped));
  else stream.end();
  const done = copyOutput(stream, options.terminal).then(() => end);
  const owned = cleanup.move();
  return {
    done,
    [Symbol.dispose]: () => {
      owned.dispose();
      stream[Symbol.dispose]();
    },
  };
}

/** stdin to the process, one piece at a time; its end is a half-close. */
function forwardStdin(stream: ByteStream, onTyped: (bytes: Uint8Array) => void): Disposable {
  const { stdin } = process;
  const onData = (bytes: Buffer) => {
    stdin.pause();
    onTyped(bytes);
    // A process that has ended reads no more: its end shows in the output.
    stream.write(bytes).then(
      () => stdin.resume(),
      () => undefined,
    );
  };
  const onEnd = () => stream.end();
  stdin.on("data", onData).on("end", onEnd);
  stdin.resume();
  return {
    [Symbol.dispose]: () => {
      stdin.off("data", onData).off("end", onEnd);
      stdin.pause();
      stdin.unref?.();
    },
  };
}
