/** One build from its Dockerfile to images in hull-containerd: the same for every protocol. */
import { formatPlatform, hostPlatform } from "../../oci/platform.ts";
import { emulationOf } from "../../platform/emulators.ts";
import type { Tracer } from "../../trace/tracer.ts";
import type { BuildRequest, BuiltImage } from "../build.ts";
import { finishImage } from "../graph/finish.ts";
import { refuseForeignCommands } from "../graph/foreign-commands.ts";
import type { BuildPlan, ImageDraft, PlatformPlan } from "../graph/plan.ts";
import { planBuild } from "../graph/plan-build.ts";
import type { FinishedImage, SolveResults, VertexResult } from "../graph/solve-results.ts";
import type { Vertex } from "../graph/vertex.ts";
import type { LayerStack } from "../solver/ports.ts";
import { readDockerfileOf, tellWarnings } from "./build-checks.ts";
import { BuildTimes, type StepTimes } from "./step-times.ts";

/** The solver, as this needs it. */
export interface Solving extends AsyncDisposable {
  /** Everything that the targets need; throws what the first failing vertex failed of. */
  solve(targets: readonly Vertex[]): Promise<void>;
  /** Of a vertex that is solved. */
  result(vertex: Vertex): VertexResult;
  /** Resolves when they are solved; false: they will not be. */
  solved(vertices: readonly Vertex[]): Promise<boolean>;
}

export interface ImageBuildParts {
  readonly times: StepTimes;
  readonly tracer: Tracer;
  /** `createdNs`: when a layer of this name was first made. */
  readonly startSolving: (request: BuildRequest, createdNs: (layer: string) => bigint) => Solving;
}

/** Lifecycle: `planImages` -> `finish` once -> disposal, when the images are stored (until then the build holds their layers). */
export class ImageBuild implements AsyncDisposable {
  readonly #solving: Solving;
  readonly #times: BuildTimes;

  constructor(
    parts: ImageBuildParts,
    readonly request: BuildRequest,
    readonly plan: BuildPlan,
  ) {
    const times = new BuildTimes(parts.times, request.noCache);
    this.#times = times;
    this.#solving = parts.startSolving(request, (layer) => times.at(layer).createdNs);
  }

  /** Solves every platform's target and makes the images' documents. */
  async finish(): Promise<readonly BuiltImage[]> {
    const { platforms } = this.plan;
    await this.#solving.solve(platforms.flatMap(verticesOf));
    return platforms.map(({ platform, image, target, scans }) => {
      const { config, stack } = finishImage(image, this.#results());
      const stages = scans.stages.map(({ name, top }) => ({ name, stack: this.#stackOf(top) }));
      const more = { baseBlobs: image.base?.blobs ?? [], target, scans: stages, scansContext: scans.context };
      return { platform, config, stack, ...more };
    });
  }

  /** What a stage comes to after some of its entries; `known` when an earlier build made the last one. Undefined when the build fails before it. */
  async stepImage(
    platform: PlatformPlan,
    stage: number,
    entries: number,
  ): Promise<{ readonly id: string; readonly known: boolean } | undefined> {
    const draft = platform.stages[stage];
    if (draft === undefined) return undefined;
    const needed = draft.entries.slice(0, entries).flatMap(({ before, after }) => [before, after]);
    if (!(await this.#solving.solved(needed))) return undefined;
    let known = false;
    const results = this.#results((isKnown) => {
      known = isKnown;
    });
    const { stepIds } = entries === 0 ? nothing : finishImage(shortened(draft, entries), results);
    return { id: stepIds.at(-1) ?? draft.base?.id ?? "", known };
  }

  #stackOf(vertex: Vertex): LayerStack {
    return vertex.kind === "scratch" ? { chainId: "", layers: [] } : this.#solving.result(vertex).stack;
  }

  #results(onTime: (known: boolean) => void = () => {}): SolveResults {
    return {
      result: (vertex) => this.#solving.result(vertex),
      createdNs: (step) => {
        const { createdNs, known } = this.#times.at(step);
        onTime(known);
        return createdNs;
      },
    };
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#solving[Symbol.asyncDispose]();
  }
}

/** All that histories name: of every stage that is built, each once. */
function verticesOf({ target, stages }: PlatformPlan): readonly Vertex[] {
  const drafts = stages.filter((draft) => draft !== undefined);
  const all = drafts.flatMap(({ entries, top }) => [...entries.flatMap(({ before, after }) => [before, after]), top]);
  return [...new Set([target, ...all])];
}

const nothing: Pick<FinishedImage, "stepIds"> = { stepIds: [] };

function shortened(draft: ImageDraft, count: number): ImageDraft {
  const entries = draft.entries.slice(0, count);
  return { ...draft, entries, top: entries.at(-1)?.after ?? draft.top };
}

/** Throws a SourceError for what is wrong with the Dockerfile; not-found for a base image. */
export async function planImages(parts: ImageBuildParts, request: BuildRequest): Promise<ImageBuild> {
  const dockerfile = readDockerfileOf(request);
  const [plan] = await Promise.all([planBuild(request, dockerfile), request.ignored()]);
  await tellWarnings(request, dockerfile, plan);
  refuseForeignCommands(plan, dockerfile, thisMachine());
  return new ImageBuild(parts, request, plan);
}

function thisMachine() {
  const host = hostPlatform();
  return {
    platform: formatPlatform(host),
    emulationOf: (architecture: string) => emulationOf(host.architecture, architecture),
  };
}
