/** process.json -> the operations that run one more process in a container. Pure. */
import { type Operation, operation } from "../../keel/plan.ts";
import type { RuntimeSpec, SpecProcess } from "../../oci/runtime-spec.ts";
import { enterCgroups } from "../cgroup/make.ts";
import type { CgroupPlace } from "../cgroup/place.ts";
import type { HostFacts } from "../host-facts.ts";
import { CLONE_NEWCGROUP } from "../kernel-constants.ts";
import { joinMask } from "./namespaces.ts";
import { processSteps, session } from "./process.ts";
import { SLOT } from "./slots.ts";

export interface ExecRequest {
  readonly facts: HostFacts;
  readonly spec: RuntimeSpec;
  readonly process: SpecProcess;
  readonly place: CgroupPlace;
  readonly wait: readonly Operation[];
  readonly preservedFds?: number;
}

export function compileExec({ facts, spec, process, place, wait, preservedFds }: ExecRequest): {
  readonly stage: readonly Operation[];
  readonly warnings: readonly string[];
} {
  const warnings: string[] = [];
  // The cgroup files are the host's: opened before its mounts are left, written by the new process.
  const entry = enterCgroups(place, { slot: SLOT.cgroup, handles: true });
  const context = {
    facts,
    at: "process.json ",
    linux: spec.linux,
    warnings,
    bindConsole: false,
    makesDirectory: false,
    preservedFds: preservedFds ?? 0,
  };
  // Its cgroup namespace is joined from inside its cgroup: a tree mounted with nsdelegate lets nobody in from outside the namespace.
  const mask = joinMask(spec);
  const { prepare, run } = processSteps(process, context);
  const stage = [
    ...entry.before,
    ...joined(mask & ~CLONE_NEWCGROUP),
    operation("clone", { flags: 0, cgroupSlot: entry.slot }, { cause: "the new process" }),
    ...entry.after,
    ...joined(mask & CLONE_NEWCGROUP),
    ...session(process, context),
    operation("keyring", { name: "_ses.exec" }, { cause: "session keyring" }),
    ...prepare,
    ...wait,
    ...run,
  ];
  return { stage, warnings };
}

const joined = (mask: number): Operation[] =>
  mask === 0 ? [] : [operation("setnsInit", { mask }, { cause: "the container's namespaces" })];
