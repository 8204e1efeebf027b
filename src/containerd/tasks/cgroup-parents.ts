/**
 * Parents of containers' cgroups ("/sys/fs/cgroup/memory/hull"): they stay while the engine runs, so that starts need not race with
 * removals, and go at its end when no task is left.
 */
import { dirname } from "node:path";
import { type Operation, operation } from "../../keel/plan.ts";
import type { CgroupPlace } from "../../runc/cgroup/place.ts";

export class CgroupParents {
  readonly #seen = new Set<string>();

  note(place: CgroupPlace): void {
    for (const path of Object.values(place.paths)) this.#seen.add(dirname(path));
  }

  /** Removes those that are empty: one that others use, or a hierarchy's root, stays. */
  removal(): Operation[] {
    const tolerate = ["ENOENT", "EBUSY", "ENOTEMPTY", "EPERM", "EROFS"] as const;
    return [...this.#seen].map((path) => operation("rmdir", { path }, { tolerate, cause: "empty cgroup parent" }));
  }
}
