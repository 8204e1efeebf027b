/** RUN: a command on a layer; its sources are mounted where the instruction says. */
import { HullError } from "../../platform/errors.ts";
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
    if (mount.kind === "volume") mounts.push(await readyVolume(mount.target, inputs.base, work));
    else mounts.push({ mount, directories: source === undefined ? [] : await layers.directories(source) });
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

/** Where its path leads in the base, and what the base has there. */
async function readyVolume(path: string, base: LayerStack, { world, job }: StepWork): Promise<ReadyMount> {
  const directories = await world.layers.directories(base);
  const found = await world.files.resolve(directories, path, job.signal);
  if (found.kind !== "directory" && found.kind !== "missing")
    throw new HullError("invalid-argument", `cannot mount volume over existing file, file exists ${path}`);
  const mount = { kind: "volume", target: `/${found.path}` } as const;
  return { mount, directories: found.kind === "directory" ? directories : [] };
}
