/** The cgroup of one command: whether the kernel killed something in it for memory, its end. */
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { again } from "../../keel/again.ts";
import { operation } from "../../keel/plan.ts";
import type { KeelServe } from "../../keel/serve.ts";
import { codeOf, during } from "../../platform/errors.ts";
import { killAll, removeCgroupTrees } from "../../runc/cgroup/control.ts";
import { type CgroupPlace, directoriesOf } from "../../runc/cgroup/place.ts";

/** Processes of it that the kernel has killed because its memory limit was reached. */
export async function oomKills({ memory, oomVersion }: CgroupPlace): Promise<number> {
  if (oomVersion === 0) return 0;
  const path = `${memory}/${oomVersion === 1 ? "memory.oom_control" : "memory.events"}`;
  try {
    return Number(/^oom_kill (\d+)$/m.exec(await readFile(path, "utf8"))?.[1] ?? 0);
  } catch (error) {
    if (codeOf(error) === "not-found") return 0; // it was never made
    throw during(`read ${path}`, error);
  }
}

/** Nothing runs in it afterwards and it is gone; none there is fine. */
export async function endCgroup(keel: Pick<KeelServe, "run">, place: CgroupPlace): Promise<void> {
  await killAll(place);
  const operations = await removeCgroupTrees(place);
  await again(() => keel.run(operations, { attempt: "remove the command's cgroup" }));
}

/** Directories that commands' cgroups were made in: they stay while the builder runs and go at its end unless others use them. */
export class CgroupParents {
  readonly #seen = new Set<string>();

  note(place: CgroupPlace): void {
    for (const path of directoriesOf(place)) this.#seen.add(dirname(path));
  }

  async remove(keel: Pick<KeelServe, "run">): Promise<void> {
    const tolerate = ["ENOENT", "EBUSY", "ENOTEMPTY", "EPERM", "EROFS"] as const;
    const operations = [...this.#seen].map((path) =>
      operation("rmdir", { path }, { tolerate, cause: "empty cgroup parent" }),
    );
    await again(() => keel.run(operations, { attempt: "remove empty cgroups" }));
  }
}
