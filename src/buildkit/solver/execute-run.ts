/** RUN: a command on a layer; its sources are mounted where the instruction says. */
import type { RunVertex } from "../graph/vertex.ts";
import { CommandFailure } from "./failure.ts";
import type { LayerStack, ReadyMount } from "./ports.ts";
import { makeLayer, type StepWork } from "./work.ts";

export interface RunInputs {
  readonly base: LayerStack;
  /** Of each mount of the vertex that has a source. */
  readonly sources: readonly (LayerStack | undefined)[];
}

export async function executeRun(vertex: RunVertex, inputs: RunInputs, work: StepWork): Promise<LayerStack> {
  const { layers, runner } = work.world;
  const { job } = work;
  using _slot = await work.slot("command", 1);
  const mounts: ReadyMount[] = [];
  for (const [i, mount] of vertex.mounts.entries()) {
    const source = inputs.sources[i];
    mounts.push({ mount, directories: source === undefined ? [] : await layers.directories(source) });
  }
  return await makeLayer(work, inputs.base, async (layer) => {
    const span = work.span();
    const { exitCode, outOfMemory, notStarted } = await runner.run(layer, vertex, {
      mounts,
      secrets: job.secrets,
      onOutput: (stream, data) => job.output(stream, data),
      signal: job.signal,
      ...(span && { span }),
    });
    if (exitCode !== 0) throw new CommandFailure(vertex.argv, { exitCode, outOfMemory, notStarted });
  });
}
