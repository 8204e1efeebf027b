/** moby.buildkit.v1.frontend.LLBBridge: a client that drives its build itself, named by a header of each call. */
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { HullError } from "../../platform/errors.ts";
import type { BuiltImage } from "../build.ts";
import type { RequestAnswer } from "../daemon/sub-requests.ts";
import type { LLBBridge, Result, SolveRequest, WarnRequest } from "../gen/moby/buildkit/v1/frontend/gateway_pb.ts";
import type { BuildEvent } from "../progress.ts";
import { returnedFailure } from "./build-failure.ts";
import type { Builds } from "./builds.ts";
import { frontendCapabilities, solverCapabilities } from "./capabilities.ts";
import { workerRecord } from "./control-service.ts";
import { buildDockerfile, type FrontendParts } from "./dockerfile-frontend.ts";
import { headerOf } from "./grpc-connections.ts";
import type { LiveBuild } from "./live-build.ts";

export interface GatewayParts extends FrontendParts {
  readonly builds: Builds;
  readonly ending: AbortSignal;
}

export function gatewayService(parts: GatewayParts): Partial<ServiceImpl<typeof LLBBridge>> {
  const live = (context: HandlerContext): Promise<LiveBuild> =>
    parts.builds.get(headerOf(context, "buildkit-controlapi-buildid"), context.signal);
  return {
    ping: async (_, context) => {
      await live(context);
      return { FrontendAPICaps: frontendCapabilities, LLBCaps: solverCapabilities, Workers: [workerRecord()] };
    },
    solve: async (request, context) => solve(parts, request, { live: await live(context), context }),
    evaluate: () => ({}), // What Solve answered is there already.
    inputs: () => ({ Definitions: {} }),
    return: async ({ result, error }, context) => {
      const build = await live(context);
      if (error && error.code !== 0) build.fail(returnedFailure(error));
      else
        build.giveBack({
          images: result ? imagesOf(build, result) : [],
          multiPlatform: result?.result.case === "refs" || result?.result.case === "refsDeprecated",
        });
      return {};
    },
    warn: async (request, context) => {
      (await live(context)).listen(warningOf(request));
      return {};
    },
  };
}

interface Caller {
  readonly live: LiveBuild;
  readonly context: HandlerContext;
}

async function solve(parts: GatewayParts, request: SolveRequest, { live, context }: Caller) {
  if (request.Frontend === "" && (request.Definition?.def.length ?? 0) === 0) return { result: {} };
  if (request.Frontend !== "dockerfile.v0")
    throw new HullError("unimplemented", "only Dockerfiles are built: LLB and other frontends are not available yet");
  const signal = AbortSignal.any([context.signal, live.signal, parts.ending]);
  const asked = { live, attributes: request.FrontendOpt, entitlements: live.entitlements, signal };
  const result = await buildDockerfile(parts, asked);
  live.holds.use(result);
  const { images, multiPlatform, answer } = result;
  if (answer) return { result: { result: { case: "ref" as const, value: { id: "" } }, metadata: bytesOf(answer) } };
  return { result: resultOf(live, images, multiPlatform) };
}

/** What a client's own frontend warns of. */
const warningOf = ({ digest, short, detail, url, ranges }: WarnRequest): BuildEvent => ({
  kind: "warning",
  id: digest,
  rule: "",
  short: Buffer.from(short).toString(),
  detail: detail.map((text) => Buffer.from(text)).join("\n"),
  url,
  startLine: ranges[0]?.start?.line ?? 0,
  endLine: ranges.at(-1)?.end?.line ?? 0,
});

const configOf = (image: BuiltImage): Buffer => Buffer.from(JSON.stringify(image.config));

const bytesOf = (answer: RequestAnswer): Record<string, Buffer> =>
  Object.fromEntries(Object.entries(answer).map(([name, text]) => [name, Buffer.from(text)]));

function resultOf(live: LiveBuild, images: readonly BuiltImage[], multiPlatform: boolean) {
  const [first] = images;
  if (!multiPlatform && first)
    return {
      result: { case: "ref" as const, value: { id: live.addResult(first) } },
      metadata: { "containerimage.config": configOf(first) },
    };
  const refs = Object.fromEntries(images.map((image) => [image.platform, { id: live.addResult(image) }]));
  const platforms = images.map(({ platform }) => {
    const [os = "", architecture = "", variant] = platform.split("/");
    return { ID: platform, Platform: { architecture, os, ...(variant !== undefined && { variant }) } };
  });
  const configs = images.map((image) => [`containerimage.config/${image.platform}`, configOf(image)] as const);
  return {
    result: { case: "refs" as const, value: { refs } },
    metadata: {
      "refs.platforms": Buffer.from(JSON.stringify({ Platforms: platforms })),
      ...Object.fromEntries(configs),
    },
  };
}

/** What a client gives back: names that `solve` answered. */
function imagesOf(live: LiveBuild, { result }: Result): BuiltImage[] {
  const named = (name: string): BuiltImage => {
    const image = live.result(name);
    if (!image) throw new HullError("not-found", `no result ${JSON.stringify(name)} in this build`);
    return image;
  };
  switch (result.case) {
    case "ref":
      return result.value.id === "" ? [] : [named(result.value.id)];
    case "refs":
      return Object.values(result.value.refs).map(({ id }) => named(id));
    case "refDeprecated":
      return result.value === "" ? [] : [named(result.value)];
    case "refsDeprecated":
      return Object.values(result.value.refs).map(named);
    case undefined:
      return [];
  }
}
