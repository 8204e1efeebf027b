/** What a solver gives back, as far as the image's document needs it. */
import type { Layer, LayerStack } from "../solver/ports.ts";
import type { Json } from "./image-document.ts";
import type { DraftEntry } from "./plan.ts";
import type { Vertex } from "./vertex.ts";

/** What is known of a solved vertex. */
export interface VertexResult {
  readonly stack: LayerStack;
  /** When its top layer was first made. */
  readonly createdNs: bigint;
  /** Of a copy, as the classic builder's history has it ("file:...", "dir:...", "multi:..."); "" of anything else. */
  readonly contentHash: string;
}

export interface SolveResults {
  /** Of every vertex that is `before` or `after` an entry. */
  result(vertex: Vertex): VertexResult;
  /** The classic builder's steps that change only the configuration: when this one (a digest of its parent and itself) was first made. */
  createdNs(step: string): bigint;
}

export interface FinishedImage {
  readonly config: Json;
  readonly stack: LayerStack;
  /** Docker's id of the image after each entry of the draft; only the classic builder has more than the last. */
  readonly stepIds: readonly string[];
}

/** The layers that an entry put on what was there. */
export function layersOf({ before, after }: DraftEntry, results: SolveResults): readonly Layer[] {
  if (before === after) return [];
  const below = before.kind === "scratch" ? 0 : results.result(before).stack.layers.length;
  return results.result(after).stack.layers.slice(below);
}
