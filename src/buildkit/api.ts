/**
 * What hull-buildkitd offers over its socket (`<exec-root>/buildkit/buildkitd.sock`). The first bytes of a connection decide: HTTP/2's preface is
 * BuildKit's gRPC; anything else is one line of JSON (BuilderRequest), which is answered by one line (BuilderAnswer). What follows, in both
 * directions, are frames (src/platform/framed-socket.ts), whose end says that they are whole; after status 101 raw bytes.
 *
 * Lifecycle of a build: request line -> `{"status":100}` (it is taken up: the body may be sent) -> body in frames -> answer line -> the response in
 * frames -> one line, BuiltImages. With `upload` the daemon says first how it wants the body: BODY_IN_FRAMES, or BODY_TAKEN, whereupon only what
 * had been received of it is sent in frames, as it was coded, and later BODY_WHOLE.
 * Closing the connection cancels it. An answer of 400 and above carries the message and ends it.
 */

/** hull-buildkitd's exit code when what it was told cannot be had; trying again does not help. */
export const REFUSED_EXIT = 3;

export const BUILDKITD_SOCKET = "buildkit/buildkitd.sock";

/** Answers' statuses: the body is wanted in frames. */
export const BODY_IN_FRAMES = 100;
/** The client's connection is read from now on: do not, and send what has been received of the body. */
export const BODY_TAKEN = 102;
/** The connection is yours again. Its message: how many bytes behind the body's end were read. */
export const BODY_WHOLE = 103;

/** A connection of a process of this machine, from which a request's body can be read. */
export interface UploadAt {
  readonly pid: number;
  readonly fd: number;
  /** "chunked", or the number of bytes. */
  readonly framing: string;
}

/** hold: answers as ping and keeps the connection, which tells of the daemon's end; it counts as no work. */
export type BuilderRequestKind =
  | "ping"
  | "hold"
  | "build"
  | "cancel"
  | "prune"
  | "usage"
  | "spans"
  | "configure"
  | "session"
  | "grpc";

export interface BuilderRequest {
  readonly kind: BuilderRequestKind;
  /** Of the HTTP request, as it came, without "?". */
  readonly query: string;
  /** Header X-Registry-Config, as it came; "" without. */
  readonly registryConfig: string;
  /** The API version in use. */
  readonly version: string;
  /** W3C trace context; "" without. */
  readonly traceparent: string;
  /** X-Docker-Expose-Session-*, by name in lower case: of session only. */
  readonly session: Readonly<Record<string, string>>;
  /** Where the body of a build can be had; null: in frames. */
  readonly upload: UploadAt | null;
}

export interface BuilderAnswer {
  /** Below 200: go on; else HTTP's. */
  readonly status: number;
  /** Of a failure, in Docker's words. */
  readonly message: string;
}

/** The response of ping and hold: one frame of JSON. */
export interface BuilderPong {
  readonly version: string;
  readonly pid: number;
  /** Epoch milliseconds. */
  readonly startedAtMs: number;
}

/** An entry of the build cache as `GET /system/df` shows it. */
export interface CacheRecord {
  readonly ID: string;
  readonly Parents: readonly string[];
  readonly Type: string;
  readonly Description: string;
  readonly InUse: boolean;
  readonly Shared: boolean;
  readonly Size: number;
  readonly CreatedAt: string;
  readonly LastUsedAt: string | null;
  readonly UsageCount: number;
}

/** A line after the response of a build: what is there now. */
export interface BuiltImages {
  /** Ids, and the names given, as Docker shows them. */
  readonly built: readonly { readonly id: string; readonly tags: readonly string[] }[];
}

/** The response of prune. */
export interface PruneAnswer {
  readonly CachesDeleted: readonly string[] | null;
  readonly SpaceReclaimed: number;
}
