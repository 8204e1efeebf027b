/** What doing a step needs: the world, who is told, and its turn. One `execute-*.ts` per kind of step; each undoes what it began when it fails. */
import type { SpanContext } from "../../trace/context.ts";
import type { JobContext } from "./jobs.ts";
import type { Files, LayerStack, Layers, OpenLayer, Runner } from "./ports.ts";
import type { SlotKind } from "./queue.ts";

export interface World {
  readonly layers: Layers;
  readonly files: Files;
  readonly runner: Runner;
  /** For files on their way into a layer; on the disk of the layers. */
  readonly scratchDirectory: string;
}

export interface StepWork {
  readonly world: World;
  readonly job: JobContext;
  /** Waits for its turn; then the step has started. */
  slot(kind: SlotKind, cost: number): Promise<Disposable>;
  /** Of the step, once it has begun. */
  span(): SpanContext | undefined;
}

export const NO_LAYERS: LayerStack = { chainId: "", layers: [] };

/** A layer on `base` that `fill` writes; committed when it has, given up when it fails. */
export async function makeLayer(
  { world, job }: StepWork,
  base: LayerStack,
  fill: (layer: OpenLayer) => Promise<void>,
): Promise<LayerStack> {
  await using layer = await world.layers.prepare(base, job.signal);
  await fill(layer);
  job.signal.throwIfAborted();
  // Awaited here: the layer is given up when this scope is left.
  return await layer.commit(job.signal);
}
