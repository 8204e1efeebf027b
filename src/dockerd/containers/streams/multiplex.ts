/** Docker's frames on attach, exec and log streams without a terminal: [stream, 0, 0, 0, u32 length], then the bytes. */
export type StreamName = "stdout" | "stderr";

export const RAW_STREAM = "application/vnd.docker.raw-stream";
export const MULTIPLEXED_STREAM = "application/vnd.docker.multiplexed-stream";

export function frame(stream: StreamName, bytes: Buffer): Buffer {
  const out = Buffer.alloc(8 + bytes.length);
  out[0] = stream === "stdout" ? 1 : 2;
  out.writeUInt32BE(bytes.length, 4);
  bytes.copy(out, 8);
  return out;
}

/** Clients from API 1.42 on are told which of the two it is. */
export const streamType = (isTerminal: boolean, atLeast142: boolean): string =>
  !isTerminal && atLeast142 ? MULTIPLEXED_STREAM : RAW_STREAM;
