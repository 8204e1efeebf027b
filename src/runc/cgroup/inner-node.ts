/**
 * cgroup v2 lets a cgroup have processes or hand controllers down, not both; only the hierarchy's real root may. An engine inside a
 * container stands at the root of its cgroup namespace, which is none: it and its neighbours there move into a cgroup below.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { during } from "../../platform/errors.ts";
import type { CgroupHost } from "./host.ts";

/** Where they go, as with other engines in containers. */
const LEAF = "init";
const ROUNDS = 10;

/** True when we stand where controllers can't be handed down from. */
export function isInnerNode({ mode, unified }: CgroupHost): boolean {
  if (mode !== "v2" || unified === undefined || unified.own !== "/" || unified.controllers.length === 0) return false;
  // The real root has no type.
  return existsSync(join(unified.mountPoint, "cgroup.type"));
}

/** Moves every process that is there; what is started meanwhile is met in the next round. Throws when the tree can't be written. */
export function leaveInnerNode(mountPoint: string): void {
  const leaf = join(mountPoint, LEAF);
  try {
    mkdirSync(leaf, { recursive: true, mode: 0o755 });
    for (let round = 0; round < ROUNDS && moveAll(mountPoint, leaf) > 0; round++);
  } catch (error) {
    throw during(`move the processes in ${mountPoint} to ${leaf}`, error);
  }
}

/** How many were there. */
function moveAll(from: string, to: string): number {
  const pids = readFileSync(join(from, "cgroup.procs"), "utf8").split("\n").filter(Boolean);
  for (const pid of pids) {
    try {
      writeFileSync(join(to, "cgroup.procs"), pid);
    } catch (error) {
      // It has ended; or it is a zombie, or of another pid namespace ("0"), and can't be moved.
      if (!["ESRCH", "EINVAL"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    }
  }
  return pids.length;
}
