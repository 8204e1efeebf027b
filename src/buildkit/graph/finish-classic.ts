/** Images as dockerd's own builder writes them: each step is an image with the one before as its parent. */
import { createHash } from "node:crypto";
import { goJson, goTime } from "./go-format.ts";
import { imageId, type Json } from "./image-document.ts";
import { CONTENT_HASH, type DraftEntry, type ImageDraft } from "./plan.ts";
import { formatClassicConfig, type RunConfig } from "./run-config.ts";
import { type FinishedImage, layersOf, type SolveResults } from "./solve-results.ts";

/** What the engine says it is. */
export const DOCKER_VERSION = "28.2.2";

interface StepImage {
  readonly id: string;
  readonly document: Json;
}

export function finishClassic(image: ImageDraft, results: SolveResults): FinishedImage {
  const base: StepImage = image.base
    ? { id: image.base.id, document: image.base.document }
    : { id: "", document: { os: image.platform.split("/")[0], rootfs: { type: "layers", diff_ids: [] }, history: [] } };
  const steps: StepImage[] = [];
  for (const entry of image.entries) steps.push(stepImage(steps.at(-1) ?? base, entry, { image, results }));
  const { document } = steps.at(-1) ?? base;
  const stack = image.top.kind === "scratch" ? { chainId: "", layers: [] } : results.result(image.top).stack;
  return { config: document, stack, stepIds: steps.map(({ id }) => id) };
}

interface Finishing {
  readonly image: ImageDraft;
  readonly results: SolveResults;
}

function stepImage(parent: StepImage, entry: DraftEntry, { image, results }: Finishing): StepImage {
  // Layers without anything in them are not kept.
  const added = layersOf(entry, results).filter(({ empty }) => !empty);
  const hash = entry.what === "copy" ? results.result(entry.after).contentHash : "";
  const command = entry.command.map((word) => word.replace(CONTENT_HASH, hash));
  const config = formatClassicConfig(entry.config, parent.id);
  const containerConfig = formatClassicConfig(containerConfigOf(entry, command), parent.id);
  const created = goTime(createdNs(entry, { image, results }, goJson([parent.id, command, config])));
  const entryDocument = {
    created,
    ...(entry.author !== "" && { author: entry.author }),
    created_by: command.join(" "),
    ...(added.length === 0 && { empty_layer: true }),
  };
  const { document } = parent;
  const next = {
    architecture: textOf(document.architecture) || image.platform.split("/")[1],
    ...(entry.author !== "" && { author: entry.author }),
    config,
    container_config: containerConfig,
    created,
    docker_version: DOCKER_VERSION,
    history: [...listOf(document.history), entryDocument],
    os: textOf(document.os) || image.platform.split("/")[0],
    ...(document["os.features"] !== undefined && { "os.features": document["os.features"] }),
    ...(textOf(document["os.version"]) !== "" && { "os.version": document["os.version"] }),
    rootfs: { type: "layers", diff_ids: [...diffIdsOf(document), ...added.map(({ diffId }) => diffId)] },
    ...(variantOf(document, image) !== "" && { variant: variantOf(document, image) }),
  };
  return { id: imageId(next), document: next };
}

function createdNs({ before, after }: DraftEntry, { image, results }: Finishing, step: string): bigint {
  if (image.epochNs !== undefined) return image.epochNs;
  if (before !== after) return results.result(after).createdNs;
  return results.createdNs(`sha256:${createHash("sha256").update(step).digest("hex")}`);
}

/** Of the container that the step would have had: commands run without an entrypoint, and dockerd gives every other one a list of labels. */
function containerConfigOf({ config, what }: DraftEntry, command: readonly string[]): RunConfig {
  const cmd = { ...config, cmd: command };
  if (what === "run") return command.length > 0 ? { ...cmd, entrypoint: undefined } : cmd;
  return what === "copy" ? cmd : { ...cmd, labels: config.labels ?? {} };
}

const variantOf = (document: Json, image: ImageDraft): string =>
  document.architecture === undefined ? (image.platform.split("/")[2] ?? "") : textOf(document.variant);

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");
const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

const diffIdsOf = (document: Json): readonly unknown[] => listOf((document.rootfs as Json | undefined)?.diff_ids);
