/** hull.containerd.v1.Registries */
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { isIndex, parseImageConfig, parseManifestOrIndex } from "../../oci/image.ts";
import { formatPlatform, parsePlatform } from "../../oci/platform.ts";
import { parseReference, type Reference, withDefaultTag } from "../../oci/reference.ts";
import { HullError } from "../../platform/errors.ts";
import { canonicalRegistry } from "../../registry/client/credentials.ts";
import { splitTerm } from "../../registry/client/search-term.ts";
import type { InspectRequest, PullRequest, PushRequest, Registries } from "../gen/hull/containerd/v1/registries_pb.ts";
import { Progressed } from "../images/progressed.ts";
import { pullFailure } from "../registries/failure.ts";
import { type PullStep, pullImage } from "../registries/pull.ts";
import { type PushStep, pushImage } from "../registries/push.ts";
import { fromWireCredentials, type RegistryHost } from "../registries/registry-host.ts";
import { callOf, namespaceOf } from "./call.ts";
import { findImage } from "./image-store-service.ts";

export function registriesService(host: RegistryHost): ServiceImpl<typeof Registries> {
  return {
    pull: (request, context) => pull(host, request, context),
    push: (request, context) => push(host, request, context),
    inspect: (request, context) => inspect(host, request, context),
    tags: async ({ repository, auth }, context) => {
      const reference = parseReference(repository);
      const target = await host.target(reference, fromWireCredentials(reference.domain, auth));
      try {
        return { tags: [...(await host.transfers.ask("tags", { target }, context))] };
      } catch (error) {
        throw pullFailure(reference, error);
      }
    },
    login: async ({ server, auth }, context) => {
      const credentials = fromWireCredentials(canonicalRegistry(server), auth);
      if (credentials === undefined) throw new HullError("invalid-argument", "no credentials were given");
      return host.transfers.ask("login", { server, credentials, settings: await host.settings() }, context);
    },
    search: async ({ term, limit, auth }, context) => {
      const credentials = fromWireCredentials(splitTerm(term).registry, auth);
      const settings = await host.settings();
      const found = await host.transfers.ask("search", { term, limit, credentials, settings }, context);
      return {
        results: found.map((row) => ({
          name: row.name,
          description: row.description,
          stars: BigInt(row.star_count),
          official: row.is_official,
          automated: row.is_automated,
        })),
      };
    },
  };
}

async function* pull(host: RegistryHost, request: PullRequest, context: HandlerContext) {
  const { stores } = host.tools;
  const namespace = namespaceOf(context);
  stores.namespaces.ensure(namespace);
  const reference = parseReference(request.reference);
  const progress = new Progressed<ReturnType<typeof pullStep>>();
  const work = pullImage(host, {
    namespace,
    reference,
    platform: request.platform === "" ? undefined : parsePlatform(request.platform),
    snapshotter: stores.snapshotters.get(request.snapshotter),
    credentials: fromWireCredentials(reference.domain, request.auth),
    onlyDigest: request.onlyDigest,
    signal: context.signal,
    span: callOf(context).span.context,
    tell: (step) => progress.push(pullStep(step)),
  });
  yield* progress.until(work);
  yield { step: { case: "pulled" as const, value: await work } };
}

function pullStep(step: PullStep) {
  if (step.kind === "resolved") return { step: { case: "resolved" as const, value: { digest: step.digest } } };
  if (step.kind === "notice") return { step: { case: "notice" as const, value: step.text } };
  const { digest, state, current = 0, total = 0 } = step;
  return layerStep({ id: digest, state, current, total, from: "" });
}

const layerStep = (layer: { id: string; state: string; current: number; total: number; from: string }) => ({
  step: { case: "layer" as const, value: { ...layer, current: BigInt(layer.current), total: BigInt(layer.total) } },
});

async function* push(host: RegistryHost, request: PushRequest, context: HandlerContext) {
  const namespace = namespaceOf(context);
  const reference = withDefaultTag(parseReference(request.reference));
  const record = await findImage(host.tools, namespace, request.image === "" ? request.reference : request.image);
  const progress = new Progressed<ReturnType<typeof layerStep>>();
  const work = pushImage(host, {
    namespace,
    reference,
    record,
    credentials: fromWireCredentials(reference.domain, request.auth),
    signal: context.signal,
    tell: ({ diffId, state, current = 0, total = 0, from = "" }: PushStep) =>
      progress.push(layerStep({ id: diffId, state, current, total, from })),
  });
  yield* progress.until(work);
  const { digest, size } = await work;
  yield { step: { case: "pushed" as const, value: { digest, size: BigInt(size) } } };
}

async function inspect(host: RegistryHost, request: InspectRequest, { signal }: HandlerContext) {
  const reference: Reference = withDefaultTag(parseReference(request.reference));
  const target = await host.target(reference, fromWireCredentials(reference.domain, request.auth));
  const name = reference.digest ?? reference.tag!;
  try {
    const { mediaType, digest, base64 } = await host.transfers.ask("manifest", { target, name }, { signal });
    const bytes = Buffer.from(base64, "base64");
    const document = parseManifestOrIndex(bytes, mediaType);
    const found = { mediaType: document.mediaType, digest, size: BigInt(bytes.length) };
    if (isIndex(document)) {
      const platforms = document.manifests.flatMap(({ platform }) => (platform ? [formatPlatform(platform)] : []));
      return { ...found, platforms };
    }
    const config = await host.transfers.ask("document", { target, digest: document.config.digest }, { signal });
    return { ...found, platforms: [formatPlatform(parseImageConfig(Buffer.from(config.base64, "base64")).platform)] };
  } catch (error) {
    throw pullFailure(reference, error);
  }
}
