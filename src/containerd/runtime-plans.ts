/** The runtime compiler as tasks need it: src/runc's pure functions with this machine's facts. */
import { operation } from "../keel/plan.ts";
import { parseProcess, parseRuntimeSpec } from "../oci/runtime-spec.ts";
import { parseResources } from "../oci/runtime-spec-linux.ts";
import { messageOf } from "../platform/errors.ts";
import {
  freezeOperations,
  isFrozen,
  killAll,
  pidsOf,
  removeCgroups,
  removeCgroupTrees,
  thawOperations,
} from "../runc/cgroup/control.ts";
import { isInnerNode, leaveInnerNode } from "../runc/cgroup/inner-node.ts";
import { readStats } from "../runc/cgroup/read-stats.ts";
import { updateResources } from "../runc/cgroup/resources.ts";
import { compileContainer } from "../runc/compile/container.ts";
import { compileExec } from "../runc/compile/exec.ts";
import { type HostFacts, readHostFacts } from "../runc/host-facts.ts";
import type { RuntimePlans } from "./tasks/runtime.ts";

/** Pause has entered these before the stage begins. */
const inherited = new Set(["network", "uts"]);
const wait = [operation("waitStart", {}, { cause: "start" })];

export async function runtimePlans(
  warn: (message: string) => void,
): Promise<RuntimePlans & { readonly cgroupMode: string }> {
  const facts = factsFromALeaf(warn);
  return {
    cgroupMode: facts.cgroups.mode,
    capabilities: facts.capabilities,
    container({ spec: json, id, bundle }) {
      const spec = parseRuntimeSpec(json);
      const { host, stage, place, warnings } = compileContainer({ facts, spec, id, bundle, inherited, wait });
      return {
        host,
        stage,
        cgroup: place,
        warnings,
        terminal: spec.process?.terminal ?? false,
        namespaces: spec.linux.namespaces,
        rootPath: spec.root.path,
      };
    },
    exec({ container, process: json, cgroup }) {
      const process = parseProcess(json);
      const { stage } = compileExec({ facts, spec: parseRuntimeSpec(container.spec), process, place: cgroup, wait });
      return { stage, terminal: process.terminal };
    },
    update(place, resources) {
      const warnings: string[] = [];
      const request = { facts, place, warnings, document: "resources" };
      return { operations: updateResources(request, parseResources(resources)), warnings };
    },
    freeze: freezeOperations,
    thaw: thawOperations,
    isFrozen,
    removeCgroups,
    removeCgroupTrees,
    killAll,
    pids: pidsOf,
    stats: readStats,
  };
}

/** This machine, once controllers can be handed down to containers; where that can't be, limits are missing, not containers. */
function factsFromALeaf(warn: (message: string) => void): HostFacts {
  const facts = readHostFacts();
  if (!isInnerNode(facts.cgroups)) return facts;
  try {
    leaveInnerNode(facts.cgroups.unified!.mountPoint);
  } catch (error) {
    warn(`limits of containers are not available: ${messageOf(error)}`);
  }
  return readHostFacts();
}
