/**
 * What a Dockerfile comes to, before anything is done: per platform the vertex to solve and the image that is made of its result. Frozen
 * data; `finishImage` makes the document of it.
 */
import type { LayerBlob } from "../build.ts";
import type { RunConfig } from "./run-config.ts";
import type { Dialect, SourceRange, Vertex } from "./vertex.ts";

export interface BuildPlan {
  readonly platforms: readonly PlatformPlan[];
  readonly warnings: readonly PlanWarning[];
  readonly checked: CheckedFacts;
  readonly usedContexts: readonly UsedContext[];
  /** Names of build arguments that no ARG asks for, sorted. */
  readonly unusedBuildArgs: readonly string[];
}

export interface PlatformPlan {
  /** "linux/amd64" */
  readonly platform: string;
  readonly target: Vertex;
  readonly image: ImageDraft;
  /** By index of the stage; undefined: nothing needs it. */
  readonly stages: readonly (ImageDraft | undefined)[];
  /** As the classic builder counts. */
  readonly steps: readonly Step[];
  readonly scans: PlannedScans;
}

/** What else than the result is looked through for packages, where they are asked for. */
export interface PlannedScans {
  readonly context: boolean;
  readonly stages: readonly { readonly name: string; readonly top: Vertex }[];
}

/** An image whose layers are not known yet. */
export interface ImageDraft {
  readonly dialect: Dialect;
  readonly platform: string;
  /** The architecture and system of the document are the wanted ones, not the base image's. */
  readonly platformGiven: boolean;
  readonly base: DraftBase | undefined;
  readonly config: RunConfig;
  readonly author: string;
  /** Of this build, in order; the base image's own history stands before them. */
  readonly entries: readonly DraftEntry[];
  readonly top: Vertex;
  /** SOURCE_DATE_EPOCH */
  readonly epochNs: bigint | undefined;
}

export interface DraftBase {
  /** Docker's image id. */
  readonly id: string;
  readonly document: Readonly<Record<string, unknown>>;
  readonly vertex: Vertex;
  /** Its layers as its manifest has them. */
  readonly blobs: readonly LayerBlob[];
}

/** An instruction's trace in the image's history. */
export interface DraftEntry {
  /** The command that the classic builder says the step's container had; joined by spaces it is `created_by`. May hold CONTENT_HASH. */
  readonly command: readonly string[];
  readonly what: "config" | "directory" | "copy" | "run";
  /** The file system before and after; the same one when only the configuration changed. */
  readonly before: Vertex;
  readonly after: Vertex;
  /** After the step. */
  readonly config: RunConfig;
  readonly author: string;
}

/** Stands in a command where the hash of what was copied belongs, which is known after the solve. */
export const CONTENT_HASH = "\0content\0";

/** "Step 3/7 : RUN make" */
export interface Step {
  readonly number: number;
  readonly count: number;
  readonly text: string;
  /** -1: an ARG before the first FROM. */
  readonly stage: number;
  /** False: its stage is not built. */
  readonly needed: boolean;
  /** What must be solved before the step is done; undefined when it only changes the configuration. */
  readonly vertex: Vertex | undefined;
  /** Entries of the stage's draft when it is done. */
  readonly entries: number;
  /** Lines that the classic builder says about it: "# Executing 2 build triggers". */
  readonly notes: readonly string[];
  /** Of a FROM: the instructions that its image's ONBUILD kept. */
  readonly triggers: readonly Trigger[];
}

export type Trigger = Pick<Step, "text" | "vertex" | "entries">;

/** What the build checks need to know beside the Dockerfile; of the first platform. */
export interface CheckedFacts {
  /** BUILDPLATFORM, TARGETARCH, ... */
  readonly platformArgs: ReadonlyMap<string, string>;
  /** Indexes of the stages that are built. */
  readonly built: ReadonlySet<number>;
  /** "NAME=value" of what a stage's FROM brings, by its index. */
  readonly imageEnv: ReadonlyMap<number, readonly string[]>;
}

export interface PlanWarning {
  readonly rule: string;
  readonly short: string;
  readonly location: SourceRange | undefined;
}

export interface UsedContext {
  /** As in ContextVertex. */
  readonly context: string;
  /** Paths and patterns, relative; empty: everything. */
  readonly paths: readonly string[];
}
