/**
 * A hijacked connection joined to our own stdin, stdout and stderr. Lifecycle: open -> both directions run -> the
 * output ends (`done`) -> dispose (gives the terminal and stdin back).
 */
import type { Socket } from "node:net";
import type { RawStream } from "../../platform/http-client.ts";
import { copyOutput } from "./output.ts";
import { rawMode } from "./terminal.ts";

export interface AttachOptions {
  readonly terminal: boolean;
  readonly stdin: boolean;
}

export interface Attached extends Disposable {
  /** Settles when the process's output has ended and been written. */
  readonly done: Promise<void>;
}

export function attachStreams(stream: RawStream, options: AttachOptions): Attached {
  using cleanup = new DisposableStack();
  if (options.stdin && options.terminal) cleanup.use(rawMode());
  if (options.stdin) cleanup.use(forwardStdin(stream.socket));
  else stream.socket.end();
  const done = copyOutput(stream.socket, options.terminal);
  const owned = cleanup.move();
  return {
    done,
    [Symbol.dispose]: () => {
      owned.dispose();
      stream.socket.destroy();
    },
  };
}

/** stdin to the process with back-pressure; its end is a half-close. */
function forwardStdin(socket: Socket): Disposable {
  const { stdin } = process;
  const onData = (bytes: Buffer) => {
    if (socket.writable && !socket.write(bytes)) stdin.pause();
  };
  const onDrain = () => stdin.resume();
  const onEnd = () => socket.end();
  stdin.on("data", onData).on("end", onEnd);
  socket.on("drain", onDrain);
  stdin.resume();
  return {
    [Symbol.dispose]: () => {
      stdin.off("data", onData).off("end", onEnd);
      socket.off("drain", onDrain);
      stdin.pause();
      stdin.unref?.();
    },
  };
}
