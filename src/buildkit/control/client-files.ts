/** What a build reads of its client's directories over the session: the Dockerfile, ignore files, contexts. */
import { HullError } from "../../platform/errors.ts";
import type { FileEntry } from "../files/entry.ts";
import { ignoreFileNames, parseIgnoreFile } from "../files/ignore.ts";
import { type FileSink, type OurPacket, receiveTree } from "../files/transfer/receive-tree.ts";
import type { Packet } from "../gen/fsutil/types_pb.ts";
import { FileSync } from "../gen/moby/filesync/v1/filesync_pb.ts";
import type { Session } from "./session.ts";

/** A directory as the client names it, and what of it is wanted. */
export interface DirectoryRequest {
  readonly session: Session;
  /** "context", "dockerfile", a name of --build-context. */
  readonly directory: string;
  /** Paths and patterns; links in them are followed by the client. Empty: everything. */
  readonly follow: readonly string[];
  readonly exclude: readonly string[];
  readonly signal: AbortSignal;
}

export interface Receiving {
  readonly isKnown: (entry: FileEntry) => boolean;
  readonly sink: FileSink;
  readonly onBytes: (bytes: number) => void;
}

/** The listed entries. The bytes of those that are not known went to the sink, one file after the other. */
export function receiveDirectory(asked: DirectoryRequest, receiving: Receiving): Promise<FileEntry[]> {
  const { session, directory, follow, exclude, signal } = asked;
  const metadata = { "dir-name": directory, followpaths: [...follow], "exclude-patterns": [...exclude] };
  const open = (ours: AsyncIterable<OurPacket>): AsyncIterable<Packet> =>
    session.converse(FileSync.method.diffCopy, { metadata, signal }, ours);
  return receiveTree({ ...receiving, open });
}

/** A Dockerfile of more is refused. */
const MAX_SMALL_BYTES = 16 * 1024 * 1024;

/** Small files by path. */
export async function readFiles(asked: DirectoryRequest): Promise<ReadonlyMap<string, Buffer>> {
  const found = new Map<string, Buffer>();
  let path = "";
  let parts: Uint8Array[] = [];
  let bytes = 0;
  const sink: FileSink = {
    begin: (entry) => {
      path = entry.path;
      parts = [];
    },
    write: (data) => {
      bytes += data.length;
      if (bytes > MAX_SMALL_BYTES) throw new HullError("invalid-argument", `${path} is larger than 16 MiB`);
      parts.push(data);
    },
    end: () => void found.set(path, Buffer.concat(parts)),
  };
  const entries = await receiveDirectory(asked, { isKnown: () => false, sink, onBytes: () => {} });
  for (const entry of entries) if (entry.kind === "file" && entry.size === 0) found.set(entry.path, Buffer.alloc(0));
  return found;
}

export interface ClientDockerfile {
  readonly name: string;
  readonly data: Buffer;
  /** Of the ignore file that goes with the Dockerfile alone; undefined: the context's own counts. */
  readonly ignore: readonly string[] | undefined;
}

/** Throws not-found in BuildKit's words. */
export async function readDockerfile(
  asked: Omit<DirectoryRequest, "directory" | "follow" | "exclude">,
  name: string,
): Promise<ClientDockerfile> {
  const lower = /(^|\/)Dockerfile$/.test(name) ? name.replace(/Dockerfile$/, "dockerfile") : undefined;
  const [ownIgnore = ""] = ignoreFileNames(name);
  const follow = [name, ownIgnore, ...(lower === undefined ? [] : [lower])];
  const files = await readFiles({ ...asked, directory: "dockerfile", follow, exclude: [] });
  const data = files.get(name) ?? (lower === undefined ? undefined : files.get(lower));
  if (!data) throw new HullError("not-found", `failed to read dockerfile: open ${name}: no such file or directory`);
  const ignore = files.get(ownIgnore);
  return { name, data, ignore: ignore && parseIgnoreFile(ignore, ownIgnore) };
}

/** Patterns of the context's own ignore file, and its size. */
export async function readIgnoreFile(
  asked: Omit<DirectoryRequest, "follow" | "exclude">,
): Promise<{ readonly patterns: readonly string[]; readonly bytes: number }> {
  const files = await readFiles({ ...asked, follow: [".dockerignore"], exclude: [] });
  const data = files.get(".dockerignore");
  return { patterns: data ? parseIgnoreFile(data) : [], bytes: data?.length ?? 0 };
}
