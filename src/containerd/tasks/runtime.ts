/**
 * What tasks need of the runtime compiler and of keel. The compiler's part is pure; the launcher's talks to keel serve.
 */
import type { Operation } from "../../keel/plan.ts";
import type { ShimContainer, ShimLog, ShimStdio } from "../../keel/shim-records.ts";
import type { CgroupPlace } from "../../runc/cgroup/place.ts";
import type { CgroupStats } from "../../runc/cgroup/stats.ts";
import type { Measured } from "../../trace/tracer.ts";
import type { Kernel } from "../kernel.ts";
import type { SpecNamespace } from "./sandbox-plan.ts";

/** A config.json, checked, as steps. */
export interface ContainerPlan {
  /** In the daemon's namespaces: cgroup directories and limits. */
  readonly host: readonly Operation[];
  /** From opening bind sources over `clone` to execve. */
  readonly stage: readonly Operation[];
  readonly cgroup: CgroupPlace;
  /** Sentences about what this host lacks and was left out. */
  readonly warnings: readonly string[];
  readonly terminal: boolean;
  readonly namespaces: readonly SpecNamespace[];
  /** root.path as the spec has it. */
  readonly rootPath: string;
}

export interface CompileRequest {
  /** config.json as it came: untrusted. */
  readonly spec: Uint8Array;
  readonly namespace: string;
  readonly id: string;
  readonly bundle: string;
}

export interface CompileExecRequest {
  readonly container: CompileRequest;
  /** process.json as it came: untrusted. */
  readonly process: Uint8Array;
  readonly cgroup: CgroupPlace;
}

export interface ExecPlan {
  readonly stage: readonly Operation[];
  readonly terminal: boolean;
}

export interface Updated {
  readonly operations: readonly Operation[];
  readonly warnings: readonly string[];
}

/** Compiler of specs. Throws `invalid-argument` with a JSON pointer. */
export interface RuntimePlans {
  /** The engine's own effective capabilities, as a mask. */
  readonly capabilities: bigint;
  container(request: CompileRequest): ContainerPlan;
  exec(request: CompileExecRequest): ExecPlan;
  /** linux.resources as JSON. */
  update(cgroup: CgroupPlace, resources: Uint8Array): Updated;
  freeze(cgroup: CgroupPlace): readonly Operation[];
  thaw(cgroup: CgroupPlace): readonly Operation[];
  isFrozen(cgroup: CgroupPlace): Promise<boolean>;
  /** rmdir of each; fails with EBUSY while a process is in one. */
  removeCgroups(cgroup: CgroupPlace): readonly Operation[];
  /** With what was made below them, from inside of the container. */
  removeCgroupTrees(cgroup: CgroupPlace): Promise<readonly Operation[]>;
  /** SIGKILL to everything in it. */
  killAll(cgroup: CgroupPlace): Promise<void>;
  pids(cgroup: CgroupPlace): Promise<number[]>;
  stats(cgroup: CgroupPlace): Promise<CgroupStats>;
}

export interface LaunchRequest {
  readonly container: ShimContainer;
  readonly stdio: ShimStdio;
  readonly log?: ShimLog | undefined;
  readonly host: readonly Operation[];
  readonly pause: readonly Operation[];
  readonly stage: readonly Operation[];
}

export interface Launched {
  readonly pausePid: number;
  readonly shimPid: number;
  readonly pid: number;
  readonly steps: Measured;
}

export interface Launcher extends Kernel {
  /** Pause, shim and init, which waits to be started. On failure no process is left; the host section's effects are. */
  launch(request: LaunchRequest, signal?: AbortSignal): Promise<Launched>;
}
