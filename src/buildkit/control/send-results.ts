/** Results as files, sent to the client that asked for them: a directory of them, or one tar. */
import { open } from "node:fs/promises";
import type { DescMethodStreaming } from "@bufbuild/protobuf";
import { HullError } from "../../platform/errors.ts";
import { keelPath } from "../../platform/paths.ts";
import { fileTarEnd, fileTarHead } from "../context/file-tar.ts";
import { failureIn, outcomeOf, spawnGroup } from "../context/keel-process.ts";
import { comparePaths, type FileEntry } from "../files/entry.ts";
import { encodePath } from "../files/path-text.ts";
import { sendEntries } from "../files/transfer/send-entries.ts";
import { FileSend, FileSync } from "../gen/moby/filesync/v1/filesync_pb.ts";
import type { ResultDocument } from "./result-documents.ts";
import type { Session } from "./session.ts";

export interface SendCall {
  readonly session: Session;
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

/** A tree of the result. */
export interface ResultPart {
  /** The directory that it goes to; "" for the destination itself. */
  readonly name: string;
  /** Where it is seen. */
  readonly root: string;
  /** Files beside those of the root. */
  readonly documents: readonly ResultDocument[];
}

export interface DirectoryPart extends ResultPart {
  /** Of the root. */
  readonly entries: readonly FileEntry[];
}

/** As one tree. */
export function sendDirectories(call: SendCall, parts: readonly DirectoryPart[]): Promise<void> {
  const { session, onBytes } = call;
  const places = new Map<FileEntry, Buffer>();
  const written = new Map<FileEntry, Buffer>();
  const entries = parts.flatMap(({ name, root, documents, entries }) => [
    ...documents.map(({ path, bytes, mtimeNs }) => {
      const entry = { ...documentEntry, path: name === "" ? path : `${name}/${path}`, size: bytes.length, mtimeNs };
      written.set(entry, bytes);
      return entry;
    }),
    ...entries
      .filter(({ path, kind }) => (path !== "" || name !== "") && kind !== "socket")
      .map((entry) => {
        const placed = name === "" ? entry : below(name, entry);
        places.set(placed, Buffer.concat([Buffer.from(`${root}/`), encodePath(entry.path)]));
        return placed;
      }),
  ]);
  return sendEntries({
    entries: entries.sort((a, b) => comparePaths(a.path, b.path)),
    open: (ours) => session.converse(sendDirectoryMethod, optionsOf(call), ours),
    read: (entry) => bytesIn(written.get(entry)) ?? bytesOf(places.get(entry)!),
    onBytes,
  });
}

const documentEntry: Omit<FileEntry, "path" | "size" | "mtimeNs"> = {
  ...{ kind: "file", mode: 0o600, uid: 0, gid: 0, sha256: "", linkTarget: "", hardLinkTo: "" },
  ...{ deviceMajor: 0, deviceMinor: 0, xattrs: [] },
};

function bytesIn(bytes: Buffer | undefined): AsyncIterable<Uint8Array> | undefined {
  if (!bytes) return undefined;
  return (async function* () {
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES);
  })();
}

const below = (name: string, entry: FileEntry): FileEntry => ({
  ...entry,
  path: entry.path === "" ? name : `${name}/${entry.path}`,
  hardLinkTo: entry.hardLinkTo === "" ? "" : `${name}/${entry.hardLinkTo}`,
});

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

/** As one archive. */
export async function sendTars(call: SendCall, parts: readonly ResultPart[]): Promise<void> {
  const { session, onBytes, signal } = call;
  async function* messages(): AsyncGenerator<{ data: Uint8Array }> {
    for await (const chunk of archives(parts, signal)) {
      for (let at = 0; at < chunk.length; at += MESSAGE_BYTES) {
        const data = chunk.subarray(at, at + MESSAGE_BYTES);
        yield { data };
        onBytes(data.length);
      }
    }
  }
  // The client answers with the end of its half once it has everything.
  for await (const _ of session.converse(FileSend.method.diffCopy, optionsOf(call), messages()));
}

/** One after the other. */
async function* archives(parts: readonly ResultPart[], signal: AbortSignal): AsyncGenerator<Buffer> {
  for (const [index, part] of parts.entries()) {
    const archive = archiveOf(part, signal);
    if (index === parts.length - 1 && part.documents.length === 0) return yield* archive;
    yield* withoutEnd(archive);
    for (const { path, bytes, mtimeNs } of part.documents) {
      const name = part.name === "" ? path : `${part.name}/${path}`;
      const { length: size } = bytes;
      yield fileTarHead({ name, size, mtimeNs, mode: documentEntry.mode, uid: 0, gid: 0 });
      yield bytes;
      yield fileTarEnd(size).subarray(0, -TAR_END_BYTES);
    }
  }
  yield fileTarEnd(0);
}

async function* archiveOf({ name, root }: ResultPart, signal: AbortSignal): AsyncGenerator<Buffer> {
  const args = ["archive", "--directory", root, "--path", "/.", "--name", name];
  const child = spawnGroup(keelPath(), args, ["ignore", "pipe", "pipe"]);
  const ended = outcomeOf(child, signal);
  ended.catch(() => undefined); // Told below.
  yield* child.stdout as AsyncIterable<Buffer>;
  const { code, said } = await ended;
  if (code !== 0) throw failureIn(said);
}

/** Two blocks of zeros. */
const TAR_END_BYTES = 1024;

/** An archive that another one follows. */
export async function* withoutEnd(archive: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let last = Buffer.alloc(0);
  for await (const chunk of archive) {
    const all = Buffer.concat([last, chunk]);
    const length = Math.max(0, all.length - TAR_END_BYTES);
    if (length > 0) yield all.subarray(0, length);
    last = Buffer.from(all.subarray(length));
  }
  if (last.length !== TAR_END_BYTES || last.some((byte) => byte !== 0))
    throw new HullError("internal", "an archive of the result is cut short");
}
