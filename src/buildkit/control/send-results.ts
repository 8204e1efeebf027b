/** Results as files, sent to the client that asked for them: a directory of them, or one tar. */
import { open } from "node:fs/promises";
import type { DescMethodStreaming } from "@bufbuild/protobuf";
import { keelPath } from "../../platform/paths.ts";
import { failureIn, outcomeOf, spawnGroup } from "../context/keel-process.ts";
import type { FileEntry } from "../files/entry.ts";
import { encodePath } from "../files/path-text.ts";
import { sendEntries } from "../files/transfer/send-entries.ts";
import { FileSend, FileSync } from "../gen/moby/filesync/v1/filesync_pb.ts";
import type { Session } from "./session.ts";

export interface SendCall {
  readonly session: Session;
  /** The result as it is seen. */
  readonly root: string;
  /** Of the exporter among those that the client asked for: how it tells its destinations apart. */
  readonly index: number;
  readonly onBytes: (bytes: number) => void;
  readonly signal: AbortSignal;
}

/** Where a directory is sent, FileSend's one method carries FileSync's packets. */
export const sendDirectoryMethod = { ...FileSync.method.diffCopy, parent: FileSend } as unknown as DescMethodStreaming<
  typeof FileSync.method.diffCopy.input,
  typeof FileSync.method.diffCopy.output
>;

const optionsOf = ({ index, signal }: SendCall) => ({
  metadata: { "buildkit-attachable-exporter-id": String(index) },
  signal,
});

/** `entries`: of the root. */
export function sendDirectory(call: SendCall, entries: readonly FileEntry[]): Promise<void> {
  const { session, root, onBytes } = call;
  return sendEntries({
    entries: entries.filter(({ path, kind }) => path !== "" && kind !== "socket"),
    open: (ours) => session.converse(sendDirectoryMethod, optionsOf(call), ours),
    read: ({ path }) => bytesOf(Buffer.concat([Buffer.from(`${root}/`), encodePath(path)])),
    onBytes,
  });
}

const PIECE_BYTES = 256 * 1024;

async function* bytesOf(path: Buffer): AsyncGenerator<Uint8Array> {
  await using file = await open(path, "r");
  for (;;) {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(PIECE_BYTES), 0, PIECE_BYTES, null);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}

/** BuildKit's clients take messages of up to 16 MiB. */
const MESSAGE_BYTES = 1024 * 1024;

export async function sendTar(call: SendCall): Promise<void> {
  const { session, root, onBytes, signal } = call;
  const args = ["archive", "--directory", root, "--path", "/.", "--name", ""];
  const child = spawnGroup(keelPath(), args, ["ignore", "pipe", "pipe"]);
  const ended = outcomeOf(child, signal);
  ended.catch(() => undefined); // Told below.
  async function* messages(): AsyncGenerator<{ data: Uint8Array }> {
    for await (const chunk of child.stdout as AsyncIterable<Buffer>)
      for (let at = 0; at < chunk.length; at += MESSAGE_BYTES) {
        const data = chunk.subarray(at, at + MESSAGE_BYTES);
        yield { data };
        onBytes(data.length);
      }
    const { code, said } = await ended;
    if (code !== 0) throw failureIn(said);
  }
  // The client answers with the end of its half once it has everything.
  for await (const _ of session.converse(FileSend.method.diffCopy, optionsOf(call), messages()));
  const { code, said } = await ended;
  if (code !== 0) throw failureIn(said);
}
