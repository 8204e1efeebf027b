/** POST /containers/prune */
import { HullError } from "../../platform/errors.ts";
import type { Filters } from "../http/filters.ts";
import type { Container } from "./container.ts";
import type { ContainerDeps } from "./deps.ts";
import { removeStopped } from "./lifecycle/remove.ts";
import { sizesOf } from "./views/list.ts";

export const pruneFilterNames = ["label", "label!", "until"] as const;

export interface Pruned {
  readonly ContainersDeleted: readonly string[] | null;
  readonly SpaceReclaimed: number;
}

let running = false;

/** One at a time. Throws conflict when another runs. `untilMs`: only those made before. */
export async function pruneContainers(
  deps: ContainerDeps,
  filters: Filters,
  facts: { readonly untilMs: number | undefined; readonly signal: AbortSignal },
): Promise<Pruned> {
  if (running) throw new HullError("conflict", "a prune operation is already running");
  running = true;
  try {
    const chosen = deps.registry.list().filter((container) => isPrunable(container, filters, facts.untilMs));
    const sizes = await sizesOf(
      deps,
      chosen.map((container) => container.record),
      facts.signal,
    );
    const removed: Container[] = [];
    for (const container of chosen) {
      facts.signal.throwIfAborted();
      await container.queue.run(() => removeStopped(deps, container, false));
      removed.push(container);
    }
    const SpaceReclaimed = removed.reduce((sum, { id }) => sum + (sizes.get(id)?.rw ?? 0), 0);
    deps.bus.publish({ type: "container", action: "prune", id: "", attributes: { reclaimed: String(SpaceReclaimed) } });
    return { ContainersDeleted: removed.length > 0 ? removed.map(({ id }) => id) : null, SpaceReclaimed };
  } finally {
    running = false;
  }
}

function isPrunable({ record }: Container, filters: Filters, untilMs: number | undefined): boolean {
  const { state, config, created } = record;
  const isStopped = state.kind === "created" || state.kind === "exited" || state.kind === "dead";
  const isOld = untilMs === undefined || Date.parse(created) < untilMs;
  return isStopped && isOld && filters.labels("label", config.Labels) && filters.withoutLabels("label!", config.Labels);
}
