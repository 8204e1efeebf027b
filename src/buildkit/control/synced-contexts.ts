/**
 * Contexts that a client's session has: only what is used and not here yet travels. What was listed the last time is remembered by client
 * and directory, with hashes; a file whose size, time, mode and owner are the same is the same file, unless it had been changed so shortly before it
 * was read that a second change would not show.
 */
import type { FileEntry, FileTree } from "../files/entry.ts";
import type { ContextVertex } from "../graph/vertex.ts";
import { vertexId } from "../graph/vertex-id.ts";
import type { BuildListener } from "../progress.ts";
import type { Contexts } from "../solver/ports.ts";
import { receiveDirectory } from "./client-files.ts";
import type { Session } from "./session.ts";
import type { FileSink } from "./sync-tree.ts";

/** Where files of contexts go and what is known of earlier ones. */
export interface ContextStore {
  readonly directory: string;
  /** What `key` had when it was last remembered, by path. */
  recall(key: string): Promise<ReadonlyMap<string, FileEntry>>;
  remember(key: string, entries: readonly FileEntry[]): Promise<void>;
  /** Takes files in; `finish` answers their hashes in the order of their beginnings. Waits its turn. */
  receive(options: { readonly build: string; readonly signal: AbortSignal }): Promise<Receiver>;
}

export interface Receiver extends AsyncDisposable, FileSink {
  finish(): Promise<readonly string[]>;
}

export interface SyncedContextsParts {
  readonly store: ContextStore;
  readonly build: string;
  readonly sessionOf: (directory: string) => Promise<Session>;
  /** Tells directories of the same name apart. */
  readonly keyOf: (directory: string, session: Session) => string;
  readonly ignored: (directory: string) => Promise<readonly string[]>;
  readonly listener: BuildListener;
}

const EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/** Clocks of file systems tick this coarsely at worst. */
const RACY_NS = 2_000_000_000n;

const nowNs = (): bigint => BigInt(Date.now()) * 1_000_000n;

/** Each directory is asked for once per build and set of paths. */
export function syncedContexts(parts: SyncedContextsParts): Contexts {
  const known = new Map<string, Promise<FileTree>>();
  return {
    tree: (vertex, signal) => {
      const key = JSON.stringify([vertex.context, vertex.used]);
      const found = known.get(key) ?? sync(parts, vertex, signal);
      known.set(key, found);
      return found;
    },
  };
}

async function sync(parts: SyncedContextsParts, vertex: ContextVertex, signal: AbortSignal): Promise<FileTree> {
  const { store } = parts;
  const session = await parts.sessionOf(vertex.context);
  const key = parts.keyOf(vertex.context, session);
  const [before, exclude] = await Promise.all([store.recall(key), parts.ignored(vertex.context)]);
  const progress = new Transfer(parts.listener, vertex);
  await using receiver = await store.receive({ build: parts.build, signal });
  const begun: FileEntry[] = [];
  const sink: FileSink = {
    begin: (entry) => {
      begun.push(entry);
      return receiver.begin(entry);
    },
    write: (data) => receiver.write(data),
    end: () => receiver.end(),
  };
  const request = { session, directory: vertex.context, follow: vertex.used, exclude, signal };
  const listed = await receiveDirectory(request, {
    isKnown: (entry) => sameFile(before.get(entry.path), entry),
    sink,
    onBytes: (bytes) => progress.add(bytes),
  });
  const hashes = await receiver.finish();
  const arrived = new Map(begun.map((entry, i) => [entry.path, { ...entry, sha256: hashes[i]! }]));
  const entries = withHashes(
    listed,
    (entry) => arrived.get(entry.path) ?? { ...entry, sha256: before.get(entry.path)!.sha256 },
  );
  // What another Dockerfile uses of the directory stays known.
  await store.remember(
    key,
    withoutRacy([...new Map([...before, ...entries.map((one) => [one.path, one] as const)]).values()]),
  );
  progress.end();
  return { entries, source: { kind: "store", directory: store.directory }, ignored: exclude };
}

const sameFile = (before: FileEntry | undefined, now: FileEntry): boolean =>
  before !== undefined &&
  before.kind === "file" &&
  before.size === now.size &&
  before.mtimeNs === now.mtimeNs &&
  before.mode === now.mode &&
  before.uid === now.uid &&
  before.gid === now.gid;

const withoutRacy = (entries: readonly FileEntry[]): FileEntry[] => {
  const latest = nowNs() - RACY_NS;
  return entries.filter((entry) => entry.kind !== "file" || entry.mtimeNs < latest);
};

/** Hard links repeat what they are links to. */
function withHashes(listed: readonly FileEntry[], whole: (entry: FileEntry) => FileEntry): FileEntry[] {
  const byPath = new Map<string, FileEntry>();
  return listed.map((entry) => {
    const made = hashed(entry, byPath, whole);
    byPath.set(entry.path, made);
    return made;
  });
}

function hashed(
  entry: FileEntry,
  byPath: ReadonlyMap<string, FileEntry>,
  whole: (entry: FileEntry) => FileEntry,
): FileEntry {
  if (entry.kind !== "file") return entry;
  if (entry.hardLinkTo !== "") {
    const first = byPath.get(entry.hardLinkTo);
    if (first) return { ...first, path: entry.path, hardLinkTo: first.hardLinkTo || first.path };
  }
  return entry.size === 0 ? { ...entry, sha256: EMPTY_SHA256 } : whole(entry);
}

/** "transferring context: 2.10MB" */
class Transfer {
  #bytes = 0;
  readonly #startedNs = nowNs();

  constructor(
    private readonly listener: BuildListener,
    private readonly vertex: ContextVertex,
  ) {
    this.#tell(0n);
  }

  add(bytes: number): void {
    this.#bytes += bytes;
    this.#tell(0n);
  }

  end(): void {
    this.#tell(nowNs());
  }

  #tell(completedNs: bigint): void {
    const name = `transferring ${this.vertex.context}:`;
    const [current, startedNs] = [this.#bytes, this.#startedNs];
    this.listener({
      kind: "status",
      id: vertexId(this.vertex),
      name,
      current,
      total: 0,
      startedNs,
      completedNs,
    });
  }
}
