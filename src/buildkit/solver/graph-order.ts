/** The vertices of a graph, inputs before what uses them, each once. */
import type { Vertex } from "../graph/vertex.ts";
import { inputsOf, vertexId } from "../graph/vertex-id.ts";

export function inOrder(targets: readonly Vertex[]): readonly Vertex[] {
  const order = new Map<string, Vertex>();
  const pending = [...targets].reverse();
  for (let top = pending.at(-1); top !== undefined; top = pending.at(-1)) {
    const id = vertexId(top);
    const missing = order.has(id) ? [] : inputsOf(top).filter((input) => !order.has(vertexId(input)));
    if (missing.length > 0) {
      pending.push(...missing.toReversed());
      continue;
    }
    pending.pop();
    if (!order.has(id)) order.set(id, top);
  }
  return [...order.values()];
}
