/** The work of a step as a job: its turn, its layer, its record. */
import type { SpanContext } from "../../trace/context.ts";
import type { RunVertex, Vertex } from "../graph/vertex.ts";
import type { Inputs, Solved } from "./build-run.ts";
import { executeCopy } from "./execute-copy.ts";
import { executeDirectory } from "./execute-directory.ts";
import { executeRun } from "./execute-run.ts";
import { executeWrite } from "./execute-write.ts";
import type { JobContext } from "./jobs.ts";
import { hashOf, type StepVertex } from "./key.ts";
import type { LayerStack } from "./ports.ts";
import type { Shared } from "./solver.ts";
import type { StepWork } from "./work.ts";

export interface StepRequest {
  readonly vertex: StepVertex;
  readonly key: string;
  readonly inputs: Inputs;
  readonly job: JobContext;
  readonly shared: Shared;
  /** Whose turn it takes. */
  readonly build: string;
  /** Of the build that began it, once the step has begun. */
  readonly span: () => SpanContext | undefined;
}

/** The record is written last: whatever fails before leaves none. */
export async function execute(request: StepRequest): Promise<Solved> {
  const { vertex, key, inputs, shared } = request;
  const stack = await perform(request, workOf(request));
  const content = inputs.copied?.content ?? "";
  const outputKey = outputKeyOf(request, stack);
  using pins = shared.cache.pins({ counts: false });
  const { kind } = vertex;
  await shared.cache.store(
    { key, outputKey, kind, description: describe(vertex), content, base: inputs.base, stack },
    pins,
  );
  return { stack, outputKey, content: "", cached: false };
}

function perform({ vertex, inputs, shared, job }: StepRequest, work: StepWork): Promise<LayerStack> {
  const { base, layer, mounts, copied } = inputs;
  switch (vertex.kind) {
    case "copy":
      return executeCopy(vertex, { base, source: copied! }, work);
    case "write":
      return executeWrite(vertex, base, work);
    case "directory":
      return executeDirectory(vertex, base, work);
    case "run":
      return executeRun(vertex, { base, sources: mounts }, work);
    case "merge":
      job.tell({ kind: "started", atNs: shared.nowNs() });
      return shared.world.layers.stack(base, layer!, job.signal);
  }
}

function workOf({ shared, job, build, span }: StepRequest): StepWork {
  return {
    span,
    world: shared.world,
    job,
    slot: async (kind, cost) => {
      const { signal } = job;
      const onWaiting = (ahead: number): void => job.tell({ kind: "waiting", atNs: shared.nowNs(), ahead });
      const slot = await shared.admission.acquire({ build, kind, cost, signal, onWaiting });
      job.tell({ kind: "started", atNs: shared.nowNs() });
      return slot;
    },
  };
}

/**
 * A command that was run anew although its result was known: whatever was made of the former result must not be taken for something made of this one.
 */
function outputKeyOf({ vertex, key, shared }: StepRequest, { chainId }: LayerStack): string {
  if (vertex.kind !== "run" || !vertex.ignoreCache) return key;
  const before = shared.cache.peek(key);
  return before?.chainId === chainId ? before.outputKey : `sha256:${hashOf("anew", key, chainId)}`;
}

/** As `builder du` shows it. */
export function describe(vertex: Vertex): string {
  return vertex.kind === "run" ? `mount / from exec ${(vertex as RunVertex).argv.join(" ")}` : vertex.name;
}
