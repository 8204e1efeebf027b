/** Images as BuildKit's exporter writes them. */

import { goTime } from "./go-format.ts";
import { imageId, type Json } from "./image-document.ts";
import type { DraftEntry, ImageDraft } from "./plan.ts";
import { formatBuildkitConfig } from "./run-config.ts";
import { type FinishedImage, layersOf, type SolveResults } from "./solve-results.ts";

const COMMENT = "buildkit.dockerfile.v0";

interface Entry extends Json {
  readonly created?: string;
}

export function finishBuildkit(image: ImageDraft, results: SolveResults): FinishedImage {
  const stack = image.top.kind === "scratch" ? { chainId: "", layers: [] } : results.result(image.top).stack;
  const document = image.base?.document ?? {};
  const own = image.entries.map((entry) => historyOf(entry, image, results));
  const base = listOf(document.history) as readonly Entry[];
  const history = withTimes([...base, ...own], image);
  const created = history.findLast((entry) => entry.created !== undefined)?.created;
  const config: Json = {
    ...platformOf(image),
    ...(image.author !== "" && { author: image.author }),
    config: formatBuildkitConfig(image.config),
    created: created ?? null,
    history,
    rootfs: { type: "layers", diff_ids: stack.layers.filter(isStored).map(({ diffId }) => diffId) },
  };
  const sorted = Object.fromEntries(Object.entries(config).sort(([a], [b]) => (a < b ? -1 : 1)));
  return { config: sorted, stack, stepIds: own.map(() => imageId(sorted)) };
}

/** A layer with nothing in it has no snapshot and no blob. */
const isStored = ({ empty }: { readonly empty: boolean }): boolean => !empty;

function historyOf(entry: DraftEntry, image: ImageDraft, results: SolveResults): Entry {
  const isLayer = layersOf(entry, results).some(isStored);
  const createdNs = image.epochNs ?? (isLayer ? results.result(entry.after).createdNs : undefined);
  return {
    ...(createdNs !== undefined && { created: goTime(createdNs) }),
    created_by: entry.command.join(" "),
    comment: COMMENT,
    ...(!isLayer && { empty_layer: true }),
  };
}

/** What made no layer has the time of the first new layer, later ones that of the layer before them. */
function withTimes(history: readonly Entry[], image: ImageDraft): readonly Entry[] {
  const firstMissing = history.findIndex((entry) => entry.created === undefined);
  if (firstMissing < 0) return history;
  const isTimed = (entry: Entry): boolean => entry.created !== undefined;
  const after = history.slice(firstMissing).find(isTimed);
  let created = (after ?? history.slice(0, firstMissing).findLast(isTimed))?.created ?? emptyTime(image);
  return history.map((entry, index) => {
    if (entry.created === undefined) return created === undefined ? entry : { created, ...entry };
    if (index > firstMissing) created = entry.created;
    return entry;
  });
}

/** Nothing has a time: as BuildKit, none is invented. */
const emptyTime = ({ epochNs }: ImageDraft): string | undefined =>
  epochNs === undefined ? undefined : goTime(epochNs);

/** The base image's system and architecture unless the client asked for others. */
function platformOf({ base, platform, platformGiven }: ImageDraft): Json {
  const document = base?.document ?? {};
  const [os, architecture, variant] = platform.split("/");
  const isSame = document.os === os && document.architecture === architecture;
  const kept = !platformGiven && typeof document.os === "string" && typeof document.architecture === "string";
  if (kept) return platformFields(document, [document.os, document.architecture, document.variant]);
  return platformFields(isSame ? document : {}, [os, architecture, variant ?? (isSame ? document.variant : undefined)]);
}

const platformFields = (document: Json, [os, architecture, variant]: readonly unknown[]): Json => ({
  os,
  architecture,
  ...(typeof variant === "string" && variant !== "" && { variant }),
  ...(document["os.version"] !== undefined && { "os.version": document["os.version"] }),
  ...(document["os.features"] !== undefined && { "os.features": document["os.features"] }),
});

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
