/** Plans of Dockerfiles in tests, with images that are only documents. */
import { createHash } from "node:crypto";
import { HullError } from "../../platform/errors.ts";
import type { BaseImage, BuildRequest } from "../build.ts";
import { parseDockerfile } from "../dockerfile/parse.ts";
import type { LayerStack } from "../solver/ports.ts";
import type { BuildPlan, ImageDraft } from "./plan.ts";
import { planBuild } from "./plan-build.ts";
import type { SolveResults, VertexResult } from "./solve-results.ts";
import type { Vertex } from "./vertex.ts";

export const digest = (text: string): string => `sha256:${createHash("sha256").update(text).digest("hex")}`;

/** An image of one layer with this document's members. */
export function baseImage(name: string, document: Readonly<Record<string, unknown>> = {}): BaseImage {
  const layer = { diffId: digest(`${name} layer`), tarBytes: 10240, unpackedBytes: 100, empty: false };
  const config = {
    architecture: "amd64",
    os: "linux",
    config: {},
    created: "2024-01-02T03:04:05.6Z",
    history: [{ created: "2024-01-02T03:04:05.6Z", created_by: `ADD ${name} /` }],
    rootfs: { type: "layers", diff_ids: [layer.diffId] },
    ...document,
  };
  return { digest: digest(`${name} manifest`), id: digest(`${name} config`), config, stack: stackOf([layer.diffId]) };
}

export const stackOf = (diffIds: readonly string[]): LayerStack => ({
  chainId: diffIds.length === 0 ? "" : digest(diffIds.join(" ")),
  layers: diffIds.map((diffId) => ({ diffId, tarBytes: 10240, unpackedBytes: 100, empty: false })),
});

export interface PlanOptions extends Partial<BuildRequest> {
  readonly known?: Readonly<Record<string, BaseImage>>;
  /** Told each look-up: "linux/amd64 busybox". */
  readonly asked?: string[];
}

export const limits = {
  shmBytes: 0,
  memoryBytes: 0,
  memorySwapBytes: 0,
  cpuShares: 0,
  cpuPeriodUs: 0,
  cpuQuotaUs: 0,
  cpusetCpus: "",
  cpusetMems: "",
  cgroupParent: "",
  ulimits: [],
};

const unused = (): never => {
  throw new Error("a plan solves nothing");
};

/** The images "base" and "busybox" are there. */
export function planText(text: string, options: PlanOptions = {}): Promise<BuildPlan> {
  const request = requestFor(text, options);
  return planBuild(request, parseDockerfile(request.dockerfile.data, "Dockerfile"));
}

export function requestFor(text: string, { known = {}, asked = [], ...given }: PlanOptions = {}): BuildRequest {
  const images = { base: baseImage("base"), busybox: baseImage("busybox"), ...known };
  return {
    id: "test",
    dialect: "buildkit",
    dockerfile: { name: "Dockerfile", data: Buffer.from(text) },
    target: "",
    platforms: [],
    buildArgs: {},
    labels: {},
    noCache: false,
    noCacheFilter: [],
    pull: false,
    network: "default",
    extraHosts: [],
    limits,
    namedContexts: {},
    contexts: { tree: unused },
    ignored: async () => [],
    downloads: { http: unused, git: unused },
    secrets: { secret: unused, sshAgent: unused },
    layouts: { load: unused },
    images: {
      resolve: async (reference, { platform }) => {
        asked.push(`${platform} ${reference}`);
        const found = images[reference as keyof typeof images];
        if (!found) throw new HullError("not-found", `pull access denied for ${reference}, repository does not exist`);
        return found;
      },
    },
    listener: unused,
    signal: new AbortController().signal,
    ...given,
  };
}

/** Results as if every vertex had made one layer named after it; layers of vertices that `empty` names have nothing in them. */
export function resultsOf(draft: ImageDraft, empty: (vertex: Vertex) => boolean = () => false): SolveResults {
  const known = new Map<Vertex, VertexResult>();
  const base = draft.base?.document.rootfs as { diff_ids: string[] } | undefined;
  const begin: VertexResult = { stack: stackOf(base?.diff_ids ?? []), createdNs: 0n, contentHash: "" };
  let last = begin;
  for (const [index, { before, after, what }] of draft.entries.entries()) {
    if (index === 0) known.set(before, begin);
    if (before === after) continue;
    const layer = { ...stackOf([digest(`layer ${index}`)]).layers[0]!, empty: empty(after) };
    const layers = [...last.stack.layers, layer];
    const createdNs = BigInt(1_700_000_000 + index) * 1_000_000_000n;
    const stack = { chainId: digest(JSON.stringify(layers)), layers };
    last = { stack, createdNs, contentHash: what === "copy" ? `file:${"a".repeat(64)}` : "" };
    known.set(after, last);
  }
  return { result: (vertex) => known.get(vertex) ?? begin, createdNs: () => 1_700_000_000n * 1_000_000_000n };
}

/** What an image's history says, oldest first. */
export const createdBy = (document: Readonly<Record<string, unknown>>): readonly string[] =>
  (document.history as { created_by?: string }[]).map((entry) => entry.created_by ?? "");
