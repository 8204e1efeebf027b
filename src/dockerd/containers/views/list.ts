/** GET /containers/json and the sizes it may show. Served from memory; sizes walk disks. */
import { chainIds } from "../../../oci/digest.ts";
import type { Filters } from "../../http/filters.ts";
import type { ContainerDeps } from "../deps.ts";
import type { ContainerRecord } from "../record.ts";
import { isActive } from "../state.ts";
import { selector, showsStopped } from "./filter.ts";
import { summary } from "./summary.ts";

export interface ListWish {
  readonly all: boolean;
  readonly limit: number | undefined;
  readonly size: boolean;
  readonly filters: Filters;
  readonly signal: AbortSignal;
}

export async function listContainers(deps: ContainerDeps, wish: ListWish): Promise<object[]> {
  const { filters } = wish;
  const keeps = selector(filters, {
    lookUp: (reference) => deps.registry.get(reference).record,
    imagesOf: (reference) => descendants(deps, reference),
  });
  const limit = wish.limit !== undefined && wish.limit > 0 ? wish.limit : undefined;
  const all = wish.all || limit !== undefined || showsStopped(filters);
  const shown = (record: ContainerRecord): boolean =>
    all || isActive(record.state) || record.state.kind === "restarting";
  const records = deps.registry
    .list()
    .map((container) => container.record)
    .filter((record) => shown(record) && keeps(record));
  const chosen = limit === undefined ? records : records.slice(0, limit);
  const sizes = wish.size ? await sizesOf(deps, chosen, wish.signal) : undefined;
  const nowMs = Date.now();
  return chosen.map((record) =>
    summary(record, { nowMs, imageName: imageNameOf(deps, record), size: sizes?.get(record.id) }),
  );
}

/** The image itself; children are those whose layers begin with its. */
function descendants(deps: ContainerDeps, reference: string): string[] {
  const image = deps.images.find(reference);
  if (!image) return [];
  const base = image.config.diffIds;
  const ids = new Set([image.id]);
  for (const { record } of deps.registry.list()) {
    const other = deps.images.find(record.imageId);
    if (other && base.every((diffId, i) => other.config.diffIds[i] === diffId)) ids.add(other.id);
  }
  return [...ids];
}

/** The name it was made with while that name still means its image; else the id. */
function imageNameOf(deps: ContainerDeps, record: ContainerRecord): string {
  const named = record.config.Image;
  const known = deps.images.find(named);
  return known && known.id !== record.imageId ? record.imageId : named;
}

export interface Size {
  readonly rw: number;
  readonly rootFs: number;
}

/** By container id: its own layer, and that with the image's. */
export async function sizesOf(
  deps: ContainerDeps,
  records: readonly ContainerRecord[],
  signal: AbortSignal,
): Promise<Map<string, Size>> {
  const sizes = new Map<string, Size>();
  for (const driver of new Set(records.map((record) => record.driver))) {
    const own = records.filter((record) => record.driver === driver);
    const chains = new Map(own.map((record) => [record.id, chainOf(deps, record)]));
    const keys = [...own.map(({ id }) => id), ...[...chains.values()].flat()];
    const usage = await deps.tasks.usage(driver, [...new Set(keys)], signal);
    for (const { id } of own) {
      const rw = usage.get(id) ?? 0;
      sizes.set(id, { rw, rootFs: rw + (chains.get(id) ?? []).reduce((sum, key) => sum + (usage.get(key) ?? 0), 0) });
    }
  }
  return sizes;
}

/** Snapshot keys of the image's layers. */
function chainOf(deps: ContainerDeps, record: ContainerRecord): string[] {
  const image = deps.images.find(record.imageId);
  return image ? chainIds(image.config.diffIds) : [];
}
