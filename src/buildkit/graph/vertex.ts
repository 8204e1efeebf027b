/**
 * The build graph: what a Dockerfile becomes. Every vertex yields one file system (a stack of layers); what only changes the image's
 * configuration (ENV, CMD, LABEL, ...) is no vertex. Frozen data: the solver finds keys and results for it, and two equal vertices are one.
 */

/** Where in which file an instruction stands; lines from 1. */
export interface SourceRange {
  readonly file: string;
  readonly startLine: number;
  readonly endLine: number;
}

interface VertexBase {
  /** For progress: "[build 2/5] RUN make". */
  readonly name: string;
  /** Undefined for what no instruction asked for. */
  readonly location: SourceRange | undefined;
  /** --no-cache and --no-cache-filter: run even when a result is known; the result is kept. */
  readonly ignoreCache: boolean;
  /** "linux/amd64" */
  readonly platform: string;
}

/**
 * "1000:1000", "app", "app:staff": names are looked up in the destination's /etc/passwd and /etc/group. Undefined: 0:0, but a copy from
 * anything else than a context (a stage, an image, a scratch vertex that others were copied to) leaves owners as the source has them.
 */
export type Owner = string | undefined;

export type Vertex =
  | ScratchVertex
  | ImageVertex
  | ContextVertex
  | HttpVertex
  | GitVertex
  | CopyVertex
  | WriteVertex
  | DirectoryVertex
  | RunVertex
  | MergeVertex;

/** No layers. */
export interface ScratchVertex extends VertexBase {
  readonly kind: "scratch";
}

/** An image's layers. The digest is the manifest's or config's it was resolved to: the key is made of `chainId`. */
export interface ImageVertex extends VertexBase {
  readonly kind: "image";
  readonly reference: string;
  readonly digest: string;
  /** "" for an image without layers. */
  readonly chainId: string;
}

/** A directory of the client: the main context is "context", others have the name of their --build-context. Only as the source of copies and mounts. */
export interface ContextVertex extends VertexBase {
  readonly kind: "context";
  readonly context: string;
  /** Patterns of what is used; empty: everything. */
  readonly used: readonly string[];
}

/** One downloaded file. */
export interface HttpVertex extends VertexBase {
  readonly kind: "http";
  readonly url: string;
  /** "sha256:..." or "". */
  readonly checksum: string;
  /** The file's name in the result. */
  readonly fileName: string;
}

/** A checkout. */
export interface GitVertex extends VertexBase {
  readonly kind: "git";
  readonly remote: string;
  readonly ref: string;
  readonly subdirectory: string;
  readonly keepGitDirectory: boolean;
  /** A commit or its beginning; "" for any. */
  readonly checksum: string;
  readonly submodules: boolean;
}

/** COPY and ADD of local files. */
export interface CopyVertex extends VertexBase {
  readonly kind: "copy";
  readonly base: Vertex;
  readonly from: Vertex;
  /** As written after expansion; wildcards as filepath.Match and, with parents, "**". */
  readonly sources: readonly string[];
  /** Absolute in the base's root; a "/" at its end says that it is a directory. */
  readonly destination: string;
  readonly owner: Owner;
  /** Octal ("0755") or symbolic ("u=rwX,go=rX"); undefined: as the source has it. */
  readonly chmod: string | undefined;
  readonly excludes: readonly string[];
  /** --parents */
  readonly parents: boolean;
  /** ADD: archives are unpacked. auto: those that are local files. */
  readonly unpack: "never" | "auto" | "always";
  /** BuildKit makes the destination of several sources a directory; the classic builder wants it to end in "/". */
  readonly dialect: Dialect;
}

/** A here-document of COPY, or another file whose bytes the Dockerfile has. */
export interface WriteVertex extends VertexBase {
  readonly kind: "write";
  readonly base: Vertex;
  readonly files: readonly WrittenFile[];
  readonly owner: Owner;
  readonly chmod: string | undefined;
}

export interface WrittenFile {
  /** Absolute in the base's root. */
  readonly path: string;
  /** Where the path is a directory of the base, the file goes into it under this name. */
  readonly name: string;
  readonly data: string;
}

/** WORKDIR: made with its parents when it is missing. */
export interface DirectoryVertex extends VertexBase {
  readonly kind: "directory";
  readonly base: Vertex;
  readonly path: string;
  readonly owner: Owner;
}

export interface RunVertex extends VertexBase {
  readonly kind: "run";
  readonly base: Vertex;
  readonly argv: readonly string[];
  /** "NAME=value", the image's and the build arguments in scope. */
  readonly env: readonly string[];
  /** Proxy variables and the like: given to the process, no part of the key. */
  readonly uncachedEnv: readonly string[];
  readonly workingDirectory: string;
  /** As USER has it; "" is root. */
  readonly user: string;
  readonly mounts: readonly RunMount[];
  readonly network: "default" | "host" | "none";
  readonly security: "sandbox" | "insecure";
  readonly hostname: string;
  /** "name:ip" */
  readonly extraHosts: readonly string[];
  readonly limits: RunLimits;
  /** Bodies of here-documents that the process finds as files below /dev/pipes. */
  readonly pipes: readonly { readonly name: string; readonly data: string }[];
}

export type RunMount =
  | {
      readonly kind: "bind";
      readonly from: Vertex;
      readonly source: string;
      readonly target: string;
      readonly writable: boolean;
    }
  | {
      readonly kind: "cache";
      readonly id: string;
      readonly from: Vertex | undefined;
      readonly source: string;
      readonly target: string;
      readonly sharing: "shared" | "private" | "locked";
      readonly readOnly: boolean;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    }
  /** sizeBytes 0: the kernel's default. */
  | { readonly kind: "tmpfs"; readonly target: string; readonly sizeBytes: number }
  /** Of the image's configuration, where dockerd's own builder runs the command: what is written to it is no part of the layer. */
  | { readonly kind: "volume"; readonly target: string }
  | {
      readonly kind: "secret";
      readonly id: string;
      /** "" with env only. */
      readonly target: string;
      readonly env: string;
      readonly required: boolean;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    }
  | {
      readonly kind: "ssh";
      readonly id: string;
      readonly target: string;
      readonly required: boolean;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    };

/** Never part of a key. 0 or "": no limit. */
export interface RunLimits {
  readonly shmBytes: number;
  readonly memoryBytes: number;
  readonly memorySwapBytes: number;
  readonly cpuShares: number;
  readonly cpuPeriodUs: number;
  readonly cpuQuotaUs: number;
  readonly cpusetCpus: string;
  readonly cpusetMems: string;
  readonly cgroupParent: string;
  /** "nofile=1024:2048" */
  readonly ulimits: readonly string[];
}

/** COPY --link: `layer` was made on nothing and is put on `base` as it is. */
export interface MergeVertex extends VertexBase {
  readonly kind: "merge";
  readonly base: Vertex;
  readonly layer: Vertex;
}

/** Whose history, messages and corner cases an image gets. */
export type Dialect = "classic" | "buildkit";
