/**
 * Contexts that a client's session has: only what is used and not here yet travels. What was listed the last time is remembered by client
 * and directory, with hashes; a file whose size, time, mode and owner are the same is the same file, unless it had been changed so shortly before it
 * was read that a second change would not show.
 */
import type { LocalDirectory } from "../context/gather.ts";
import type { FileEntry, FileTree } from "../files/entry.ts";
import { type FileSink, hasBytes } from "../files/transfer/receive-tree.ts";
import type { ContextVertex } from "../graph/vertex.ts";
import { vertexId } from "../graph/vertex-id.ts";
import type { BuildListener } from "../progress.ts";
import type { Contexts } from "../solver/ports.ts";
import { type DirectoryRequest, receiveDirectory } from "./client-files.ts";
import { localDirectory } from "./local-directory.ts";
import type { Session } from "./session.ts";

/** Where files of contexts go and what is known of earlier ones. */
export interface ContextStore {
  readonly directory: string;
  /** What `key` had when it was last remembered, by path. */
  recall(key: string): Promise<ReadonlyMap<string, FileEntry>>;
  remember(key: string, entries: readonly FileEntry[]): Promise<void>;
  /** Takes files in; `finish` answers their hashes in the order of their beginnings. Waits its turn. */
  receive(options: ReceiveOptions): Promise<Receiver>;
  /** Takes files of a directory in that is on this machine: answers them with their hashes, undefined when it can't. Waits its turn. */
  gather(
    directory: LocalDirectory,
    files: readonly FileEntry[],
    options: ReceiveOptions,
  ): Promise<readonly FileEntry[] | undefined>;
  /** One at a time for each key, so that what one build receives the next one has. */
  turn(key: string, signal: AbortSignal): Promise<Disposable>;
}

export interface ReceiveOptions {
  readonly build: string;
  readonly signal: AbortSignal;
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
  const [here, exclude] = await Promise.all([
    localDirectory(session, vertex.context, signal),
    parts.ignored(vertex.context),
  ]);
  using _turn = await store.turn(key, signal);
  const before = await store.recall(key);
  const progress = new Transfer(parts.listener, vertex);
  const request = { session, directory: vertex.context, follow: vertex.used, exclude, signal };
  const taking: Taking = { store, before, progress, options: { build: parts.build, signal } };
  const { listed, arrived } = (here && (await fromHere(here, request, taking))) ?? (await overSession(request, taking));
  const entries = withHashes(
    listed,
    (entry) => arrived.get(entry.path) ?? { ...entry, sha256: before.get(entry.path)!.sha256 },
  );
  // What another Dockerfile uses of the directory stays known.
  if (arrived.size > 0)
    await store.remember(
      key,
      withoutRacy([...new Map([...before, ...entries.map((one) => [one.path, one] as const)]).values()]),
    );
  progress.end();
  return { entries, source: { kind: "store", directory: store.directory }, ignored: exclude };
}

interface Taking {
  readonly store: ContextStore;
  readonly before: ReadonlyMap<string, FileEntry>;
  readonly progress: Transfer;
  readonly options: ReceiveOptions;
}

interface Taken {
  readonly listed: readonly FileEntry[];
  /** By path, with their hashes. */
  readonly arrived: ReadonlyMap<string, FileEntry>;
}

const nowhere: FileSink = {
  begin: () => {},
  write: () => {},
  end: () => {},
};

/** Listed by the client, read by us. Undefined: it is closed to us. */
async function fromHere(
  directory: LocalDirectory,
  request: DirectoryRequest,
  { store, before, progress, options }: Taking,
): Promise<Taken | undefined> {
  const listed = await receiveDirectory(request, { isKnown: () => true, sink: nowhere, onBytes: () => {} });
  const lacking = listed.filter((entry) => hasBytes(entry) && !sameFile(before.get(entry.path), entry));
  if (lacking.length === 0) return { listed, arrived: new Map() };
  const gathered = await store.gather(directory, lacking, options);
  if (!gathered) return undefined;
  progress.add(gathered.reduce((sum, { size }) => sum + size, 0));
  return { listed, arrived: byPath(gathered) };
}

/** Listed and sent by the client. */
async function overSession(request: DirectoryRequest, { store, before, progress, options }: Taking): Promise<Taken> {
  await using receiver = await store.receive(options);
  const begun: FileEntry[] = [];
  const sink: FileSink = {
    begin: (entry) => {
      begun.push(entry);
      return receiver.begin(entry);
    },
    write: (data) => receiver.write(data),
    end: () => receiver.end(),
  };
  const listed = await receiveDirectory(request, {
    isKnown: (entry) => sameFile(before.get(entry.path), entry),
    sink,
    onBytes: (bytes) => progress.add(bytes),
  });
  const hashes = await receiver.finish();
  return { listed, arrived: byPath(begun.map((entry, i) => ({ ...entry, sha256: hashes[i]! }))) };
}

const byPath = (entries: readonly FileEntry[]): ReadonlyMap<string, FileEntry> =>
  new Map(entries.map((entry) => [entry.path, entry]));

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
  const known = new Map<string, FileEntry>();
  return listed.map((entry) => {
    const made = hashed(entry, known, whole);
    known.set(entry.path, made);
    return made;
  });
}

function hashed(
  entry: FileEntry,
  known: ReadonlyMap<string, FileEntry>,
  whole: (entry: FileEntry) => FileEntry,
): FileEntry {
  if (entry.kind !== "file") return entry;
  if (entry.hardLinkTo !== "") {
    const first = known.get(entry.hardLinkTo);
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
