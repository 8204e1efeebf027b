/**
 * Provenance of a build as BuildKit writes it: SLSA v0.2 (slsa.dev/provenance/v0.2) and v1 (slsa.dev/provenance/v1). Pure. Values of secrets are never known
 * here, values of build arguments and labels are in mode max alone.
 */
import type { RunMount, Vertex } from "../graph/vertex.ts";
import type { ProvenanceOptions } from "./attest-options.ts";
import { graphOf, inputsFirst } from "./build-graph.ts";
import type { BuildOrigin, Material } from "./build-origin.ts";
import { withoutCredentials } from "./credentials.ts";
import { imageUrl } from "./purl.ts";
import { type Predicate, predicateTypes } from "./statement.ts";

const BUILD_TYPE_02 = "https://mobyproject.org/buildkit@v1";
const BUILD_TYPE_1 = "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md";

export function provenanceOf(origin: BuildOrigin, options: ProvenanceOptions): Predicate {
  const facts = factsOf(origin, options);
  return options.version === "v1"
    ? { type: predicateTypes.provenance1, value: version1(origin, options, facts) }
    : { type: predicateTypes.provenance02, value: version02(origin, options, facts) };
}

interface Facts {
  readonly materials: readonly Material[];
  readonly parameters: object;
  readonly configSource: { readonly uri?: string; readonly digest?: Material["digest"]; readonly path: string };
  readonly buildConfig: object | undefined;
  readonly metadata: object;
  /** Nothing of the request was left out. */
  readonly isWhole: boolean;
  /** Everything that was used is named with its digest. */
  readonly isClosed: boolean;
  readonly startedOn: string;
  readonly finishedOn: string;
}

function factsOf(origin: BuildOrigin, options: ProvenanceOptions): Facts {
  const vertices = inputsFirst(origin.target);
  const isMax = options.mode === "max";
  const args = argumentsOf(origin.attributes);
  const shown = Object.entries(args).filter(([name]) => isMax || !/^(?:build-arg|label):/.test(name));
  const { llbDefinition, digestMapping, locations } = graphOf(origin.target);
  const { name, data } = origin.dockerfile;
  const source = { infos: [{ filename: name, language: "Dockerfile", data: data.toString("base64") }], locations };
  const vcs = versionControl(origin.attributes);
  return {
    materials: materialsOf(origin, vertices),
    parameters: {
      frontend: "dockerfile.v0",
      ...(shown.length > 0 && { args: Object.fromEntries(shown) }),
      ...(isMax && askedOf(vertices)),
      locals: localsOf(origin, vertices),
    },
    configSource: { ...(origin.remote && { uri: origin.remote.uri, digest: origin.remote.digest }), path: name },
    buildConfig: isMax ? { llbDefinition, digestMapping } : undefined,
    metadata: { ...(Object.keys(vcs).length > 0 && { vcs }), ...(isMax && { source }) },
    isWhole: shown.length === Object.keys(args).length,
    isClosed: vertices.every(isPinned),
    startedOn: new Date(origin.startedMs).toISOString(),
    finishedOn: new Date(origin.finishedMs).toISOString(),
  };
}

/** What says nothing of the result, or only of the client's machine. */
const leftOut =
  /^(?:attest:|vcs:|sharedkey:|local-sessionid:)|^(?:cgroup-parent|image-resolve-mode|platform|cache-imports|hostname|no-cache)$/;

const argumentsOf = (attributes: BuildOrigin["attributes"]): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(attributes)
      .filter(([name]) => !leftOut.test(name) && name !== "filename")
      .map(([name, value]) => [name, withoutCredentials(value)] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );

const versionControl = (attributes: BuildOrigin["attributes"]): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(attributes)
      .filter(([name]) => name.startsWith("vcs:"))
      .map(([name, value]) => [name.slice(4), withoutCredentials(value)]),
  );

function materialsOf({ downloads, remote }: BuildOrigin, vertices: readonly Vertex[]): readonly Material[] {
  const images = vertices.flatMap((vertex): Material[] => {
    if (vertex.kind !== "image") return [];
    const [algorithm = "", hex = ""] = vertex.digest.split(":");
    const reference = vertex.reference.replace(/@[^@]*$/, "");
    const uri = imageUrl(reference, vertex.platform) ?? `pkg:docker/${encodeURIComponent(vertex.reference)}`;
    return [{ uri, digest: { [algorithm]: hex } }];
  });
  const all = [...images, ...(remote ? [remote] : []), ...downloads];
  return [...new Map(all.map((material) => [JSON.stringify(material), material])).values()];
}

/** Names of secrets and agents, never what they are. */
function askedOf(vertices: readonly Vertex[]): object {
  const mounts = vertices.flatMap((vertex) => (vertex.kind === "run" ? vertex.mounts : []));
  const named = (kind: "secret" | "ssh") => {
    const found = mounts.filter(
      (mount): mount is Extract<RunMount, { readonly kind: "secret" | "ssh" }> => mount.kind === kind,
    );
    const needed = new Set(found.filter(({ required }) => required).map(({ id }) => id));
    return [...new Set(found.map(({ id }) => id))].map((id) => ({ id, ...(!needed.has(id) && { optional: true }) }));
  };
  const [secrets, ssh] = [named("secret"), named("ssh")];
  return { ...(secrets.length > 0 && { secrets }), ...(ssh.length > 0 && { ssh }) };
}

function localsOf({ remote }: BuildOrigin, vertices: readonly Vertex[]): readonly object[] {
  const names = vertices.flatMap((vertex) => (vertex.kind === "context" ? [vertex.context] : []));
  return [...new Set([...names, ...(remote ? [] : ["dockerfile"])])].sort().map((name) => ({ name }));
}

/** Its result depends on nothing that the materials do not name. */
const isPinned = (vertex: Vertex): boolean =>
  vertex.kind !== "context" && !(vertex.kind === "run" && vertex.network !== "none");

function version02(origin: BuildOrigin, { builderId, reproducible }: ProvenanceOptions, facts: Facts): object {
  const { uri, digest, path } = facts.configSource;
  return {
    builder: { id: builderId },
    buildType: BUILD_TYPE_02,
    materials: facts.materials,
    invocation: {
      configSource: { ...(uri !== undefined && { uri, digest }), entryPoint: path },
      parameters: facts.parameters,
      environment: { platform: origin.builderPlatform },
    },
    ...(facts.buildConfig && { buildConfig: facts.buildConfig }),
    metadata: {
      buildInvocationID: origin.ref,
      buildStartedOn: facts.startedOn,
      buildFinishedOn: facts.finishedOn,
      completeness: { parameters: facts.isWhole, environment: true, materials: facts.isClosed },
      reproducible,
      "https://mobyproject.org/buildkit@v1#metadata": facts.metadata,
      ...(facts.isClosed && { "https://mobyproject.org/buildkit@v1#hermetic": true }),
    },
  };
}

function version1(origin: BuildOrigin, { builderId, reproducible }: ProvenanceOptions, facts: Facts): object {
  return {
    buildDefinition: {
      buildType: BUILD_TYPE_1,
      externalParameters: { configSource: facts.configSource, request: facts.parameters },
      internalParameters: {
        ...(facts.buildConfig && { buildConfig: facts.buildConfig }),
        builderPlatform: origin.builderPlatform,
      },
      resolvedDependencies: facts.materials,
    },
    runDetails: {
      builder: { id: builderId },
      metadata: {
        invocationId: origin.ref,
        startedOn: facts.startedOn,
        finishedOn: facts.finishedOn,
        buildkit_metadata: facts.metadata,
        ...(facts.isClosed && { buildkit_hermetic: true }),
        buildkit_completeness: { request: facts.isWhole, resolvedDependencies: facts.isClosed },
        ...(reproducible && { buildkit_reproducible: true }),
      },
    },
  };
}
