/**
 * What tasks need of the runtime compiler and of keel. The compiler's part is pure; the launcher's talks to keel serve.
 */
import type { Operation } from "../../keel/plan.ts";
import type { ShimContainer, ShimLog, ShimStdio } from "../../keel/shim-records.ts";
import type { MeasuredStep } from "../../trace/tracer.ts";
import type { Kernel } from "../kernel.ts";
import type { SpecNamespace } from "./sandbox-plan.ts";

/** Where the container's cgroups are, as plain data: it is kept in the bundle for later commands and restarts. */
export interface CgroupPlace {
  /** Controller ("" for the unified tree) to the directory below the cgroup mount. */
  readonly paths: Readonly<Record<string, string>>;
  /** Directory whose OOM kills are watched; empty: none. */
  readonly memory: string;
  /** 1: memory.oom_control, 2: memory.events, 0: none. */
  readonly oomVersion: 0 | 1 | 2;
}

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

/** Compiler of specs. Throws `invalid-argument` with a JSON pointer. */
export interface RuntimePlans {
  container(request: CompileRequest): ContainerPlan;
  exec(request: CompileExecRequest): ExecPlan;
  /** linux.resources as JSON. */
  update(cgroup: CgroupPlace, resources: Uint8Array): readonly Operation[];
  freeze(cgroup: CgroupPlace): readonly Operation[];
  thaw(cgroup: CgroupPlace): readonly Operation[];
  isFrozen(cgroup: CgroupPlace): Promise<boolean>;
  removeCgroups(cgroup: CgroupPlace): readonly Operation[];
  /** SIGKILL to everything in it. */
  killAll(cgroup: CgroupPlace): Promise<void>;
  pids(cgroup: CgroupPlace): Promise<number[]>;
  /** Figures as the Stats type of src/runc. */
  stats(cgroup: CgroupPlace): Promise<unknown>;
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
  readonly steps: readonly MeasuredStep[];
}

export interface Launcher extends Kernel {
  /** Pause, shim and init, which waits to be started. On failure no process is left; the host section's effects are. */
  launch(request: LaunchRequest, signal?: AbortSignal): Promise<Launched>;
}
