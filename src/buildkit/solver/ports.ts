/**
 * What the solver needs of the world, each a small interface with one real implementation: layers (hull-containerd's snapshots), file
 * operations (keel), commands (run), contexts, downloads. Everything that can wait takes a signal; abort undoes what was begun.
 */
import type { SpanContext } from "../../trace/context.ts";
import type { FileEntry, FileTree } from "../files/entry.ts";
import type { HeaderAndFile } from "../graph/classic-hash.ts";
import type { ContextVertex, GitVertex, HttpVertex, RunMount, RunVertex } from "../graph/vertex.ts";

/** A stack of committed layers, base first. */
export interface LayerStack {
  /** Name of the top snapshot in hull-containerd; "" for no layers. */
  readonly chainId: string;
  readonly layers: readonly Layer[];
}

export interface Layer {
  readonly diffId: string;
  /** Bytes of the uncompressed tar. */
  readonly tarBytes: number;
  /** Of the unpacked files. */
  readonly unpackedBytes: number;
  /** Nothing in it: no blob, `empty_layer` in the history where the dialect says so. */
  readonly empty: boolean;
}

/**
 * An active snapshot that becomes a layer.
 * Lifecycle: `Layers.prepare` -> files are changed below `upper` (never while it is mounted elsewhere) or through a mount of it -> `commit` or disposal.
 */
export interface OpenLayer extends AsyncDisposable {
  readonly key: string;
  readonly base: LayerStack;
  /** The directory that the layer's own files go to, as overlayfs wants them (whiteouts as char 0:0). */
  readonly upper: string;
  readonly work: string;
  /** Directories below it, top first. */
  readonly lowers: readonly string[];
  /** Hashes the layer and gives it its name; the same contents on the same base are one snapshot, however often it is made. */
  commit(signal: AbortSignal): Promise<LayerStack>;
}

export interface Layers {
  prepare(base: LayerStack, signal: AbortSignal): Promise<OpenLayer>;
  /** Undefined: it is not (whole) there any more. */
  find(chainId: string): Promise<LayerStack | undefined>;
  /** The directories of a stack, top first. */
  directories(stack: LayerStack): Promise<readonly string[]>;
  /** `layer`'s top layer put on `base`. */
  stack(base: LayerStack, layer: LayerStack, signal: AbortSignal): Promise<LayerStack>;
}

/**
 * Keeps snapshots that the build cache names from being collected, also while the builder does not run. By chainId, not counted.
 * Lifecycle: `hold` after the commit and before the record is written -> `release` when no record names it; `list` finds what a killed builder left.
 */
export interface Holds {
  hold(chainId: string): Promise<void>;
  /** Of one that is not held: nothing. */
  release(chainId: string): Promise<void>;
  list(): Promise<readonly string[]>;
}

/** What becomes of one entry: see `Files.place`. */
export interface Placement {
  /** Relative to the layer's root; what it leads through is resolved in the root already. */
  readonly path: string;
  /** Owner and mode are the wanted ones; `path` is the placement's, `hardLinkTo` that of an earlier placement of the same file. */
  readonly entry: FileEntry;
  /** In the source tree. */
  readonly sourcePath: string;
}

/** File work below a layer's root, done by keel. */
export interface Files {
  /**
   * Writes entries into `layer.upper` so that the merged tree has them: missing parents are made (0755, `parentOwner`), a directory that the base has
   * keeps its attributes unless an entry names it, a file replaces what is there; files are linked from the store where mode, owner and time allow it, else reflinked or copied.
   * Throws invalid-argument for a directory over a file and a file over a directory, naming the path.
   */
  place(
    layer: OpenLayer,
    source: FileTree,
    placements: readonly Placement[],
    options: { readonly parentOwner: { readonly uid: number; readonly gid: number }; readonly signal: AbortSignal },
  ): Promise<void>;
  /** Unpacks an archive of the source tree (tar; plain, gzip, bzip2, xz, zstd) at `directory` of the merged root. */
  unpack(
    layer: OpenLayer,
    source: FileTree,
    request: {
      readonly sourcePath: string;
      readonly directory: string;
      readonly owner: { readonly uid: number; readonly gid: number } | undefined;
      readonly signal: AbortSignal;
    },
  ): Promise<void>;
  /** The tree below `path` of a stack with the hashes of its files; remembered per layer. Links in `path` mean the stack's root. not-found when there is none. */
  index(directories: readonly string[], path: string, signal: AbortSignal): Promise<FileTree>;
  /** Hexadecimal sha256 of each header followed by the bytes of that file of the tree (`path` "": of none). */
  hashAfter(source: FileTree, all: readonly HeaderAndFile[], signal: AbortSignal): Promise<readonly string[]>;
  /** Where an absolute path leads in the merged root: relative to it, links followed, whatever is missing taken as it is. */
  resolve(directories: readonly string[], path: string, signal: AbortSignal): Promise<ResolvedPath>;
  /** A small file's bytes (/etc/passwd); undefined when it is missing or not a regular file. */
  read(directories: readonly string[], path: string, maxBytes: number): Promise<Buffer | undefined>;
}

export interface ResolvedPath {
  readonly path: string;
  readonly kind: FileEntry["kind"] | "missing";
}

/** A directory of the client, there as a whole (as far as it is used). */
export interface Contexts {
  tree(vertex: ContextVertex, signal: AbortSignal): Promise<FileTree>;
}

export interface Downloads {
  http(vertex: HttpVertex, signal: AbortSignal): Promise<FileTree>;
  /** Settles the commit first, so that the key is known before anything is fetched. */
  git(vertex: GitVertex, signal: AbortSignal): Promise<{ readonly commit: string; tree(): Promise<FileTree> }>;
}

export interface Secrets {
  /** undefined: the client has none of this id. */
  secret(id: string, signal: AbortSignal): Promise<Buffer | undefined>;
  /** Path of a socket that speaks to the client's agent; undefined: the client offers none. */
  sshAgent(id: string, signal: AbortSignal): Promise<(AsyncDisposable & { readonly socketPath: string }) | undefined>;
}

/** A mount of RUN whose source is ready. */
export interface ReadyMount {
  readonly mount: RunMount;
  /** bind: the directories of its source, top first, or where a context's files are laid out. volume: those that have its target; empty where none has. */
  readonly directories: readonly string[];
}

/** Lifecycle: one call is one command from its sandbox to its end; whatever happens nothing is left but what it wrote below the layer. */
export interface Runner {
  run(
    layer: OpenLayer,
    vertex: RunVertex,
    options: {
      readonly mounts: readonly ReadyMount[];
      readonly secrets: Secrets;
      /** At most 64 KiB at a time; the command waits while a promise is pending. */
      readonly onOutput: (stream: 1 | 2, data: Uint8Array) => void | Promise<void>;
      readonly signal: AbortSignal;
      /** Kernel operations are recorded as children of this span. */
      readonly span?: SpanContext;
    },
  ): Promise<RunOutcome>;
}

export interface RunOutcome {
  /** 128 + signal when one ended it. */
  readonly exitCode: number;
  readonly outOfMemory: boolean;
  /** There is no such program, or it can't be executed (exit code 127, 126, 255): runc's words, of which stderr has got BuildKit's sentence. */
  readonly notStarted?: string;
}
