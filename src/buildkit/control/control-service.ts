/** moby.buildkit.v1.Control: builds by reference, their progress, the cache. */
import { hostname } from "node:os";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { ContainerdClient } from "../../containerd/client.ts";
import { hostPlatform } from "../../oci/platform.ts";
import { HullError } from "../../platform/errors.ts";
import { HULL_VERSION } from "../../platform/version.ts";
import { parseTraceparent } from "../../trace/context.ts";
import { type AttestOptions, parseAttestOptions } from "../attestations/attest-options.ts";
import { RecordedBuild, type RecordingParts } from "../daemon/recorded-build.ts";
import type {
  BytesMessage,
  Control,
  PruneRequest,
  SolveRequest,
  StatusResponse,
  UsageRecordSchema,
} from "../gen/moby/buildkit/v1/control_pb.ts";
import type { WorkerRecordSchema } from "../gen/moby/buildkit/v1/types/worker_pb.ts";
import type { BuildOutcome } from "../history/recording.ts";
import type { Builds } from "./builds.ts";
import { buildDockerfile, type FrontendParts, type FrontendResult } from "./dockerfile-frontend.ts";
import { type ExporterAnswer, type ExportParts, exporterNamed } from "./exporters.ts";
import { headerOf } from "./grpc-connections.ts";
import { historyService, pastStatus } from "./history-service.ts";
import { internalStep } from "./internal-step.ts";
import { LiveBuild } from "./live-build.ts";
import { outcomeOf } from "./outcome.ts";
import { predicatesOf } from "./predicates.ts";
import { Tunnel } from "./tunnel.ts";

export type UsageRecordMessage = MessageInitShape<typeof UsageRecordSchema>;

export interface BuildCacheView {
  usage(filters: readonly string[], signal: AbortSignal): Promise<readonly UsageRecordMessage[]>;
  /** What was removed. */
  prune(request: PruneRequest, signal: AbortSignal): Promise<readonly UsageRecordMessage[]>;
}

export interface ControlParts extends FrontendParts, RecordingParts {
  readonly builds: Builds;
  readonly exports: ExportParts;
  /** Where images are. */
  readonly content: Pick<ContainerdClient["content"], "info" | "read">;
  readonly cache: BuildCacheView;
  /** What the daemon allows. */
  readonly entitlements: () => readonly string[];
  /** Aborted when the daemon ends. */
  readonly ending: AbortSignal;
}

const version = { package: "glasshull", version: HULL_VERSION, revision: "", dockerfileVersion: "1" };

export function workerRecord(): MessageInitShape<typeof WorkerRecordSchema> {
  const { os, architecture, variant } = hostPlatform();
  return {
    ID: "hull",
    Labels: {
      "org.mobyproject.buildkit.worker.executor": "hull",
      "org.mobyproject.buildkit.worker.hostname": hostname(),
      // By it clients know that images of several platforms and attestations can be kept.
      "org.mobyproject.buildkit.worker.snapshotter": "overlayfs",
    },
    platforms: [{ OS: os, Architecture: architecture, Variant: variant ?? "" }],
    BuildkitVersion: version,
  };
}

export function controlService(parts: ControlParts): Partial<ServiceImpl<typeof Control>> {
  return {
    solve: (request, context) => solve(parts, request, context),
    status: (request, context) => status(parts, request.Ref, context),
    listWorkers: () => ({ record: [workerRecord()] }),
    session: (messages, context) => session(parts, messages, context),
    ...historyService(parts.history),
    info: () => ({ buildkitVersion: version }),
    diskUsage: async ({ filter }, { signal }) => ({ record: [...(await parts.cache.usage(filter, signal))] }),
    async *prune(request, { signal }) {
      yield* await parts.cache.prune(request, signal);
    },
  };
}

const sessionHeaders = ["uuid", "name", "sharedkey", "grpc-method"].map((name) => `x-docker-expose-session-${name}`);

/** For clients without a connection to give away: buildctl. */
function session(
  { sessions }: ControlParts,
  messages: AsyncIterable<BytesMessage>,
  context: HandlerContext,
): AsyncIterable<{ data: Uint8Array }> {
  const tunnel = new Tunnel(messages, context.signal);
  sessions.accept(Object.fromEntries(sessionHeaders.map((name) => [name, headerOf(context, name)])), tunnel.connection);
  return tunnel.outgoing();
}

async function* status(
  { builds, history }: ControlParts,
  ref: string,
  { signal }: HandlerContext,
): AsyncGenerator<StatusResponse> {
  const live = builds.find(ref);
  if (live === undefined && history.has(ref)) return yield* pastStatus(history, ref);
  // What is in no record was asked for by a client for itself, and said nothing.
  if (live === undefined && builds.hasEnded(ref)) return;
  yield* (live ?? (await builds.get(ref, signal))).status();
}

async function solve(
  parts: ControlParts,
  request: SolveRequest,
  context: HandlerContext,
): Promise<{ ExporterResponse: Record<string, string> }> {
  if (request.Definition && request.Definition.def.length > 0)
    throw new HullError("unimplemented", "building from LLB is not available yet: build a Dockerfile");
  if ((request.Cache?.Exports.length ?? 0) > 0)
    throw new HullError("unimplemented", "exporting the build cache is not available yet: build without --cache-to");
  refuseEntitlements(request.Entitlements, parts.entitlements());
  const exporters = exportersOf(request);
  const live = new LiveBuild(
    { ref: request.Ref, sessionId: request.Session, entitlements: request.Entitlements },
    parts.scratch,
  );
  parts.builds.add(live);
  const recorded = new RecordedBuild(parts, live, {
    attributes: request.FrontendAttrs,
    exporters: exporters.map(({ exporter }) => exporter),
    parent: parseTraceparent(headerOf(context, "traceparent")),
    internal: request.Internal,
  });
  const signal = AbortSignal.any([context.signal, live.signal, parts.ending]);
  let [failure, ended]: [unknown, Ended] = [undefined, { response: {}, result: undefined }];
  try {
    const options = parseAttestOptions(request.FrontendAttrs);
    ended = await answerOf(parts, { live, request, signal, exporters, options });
    return { ExporterResponse: { ...ended.response } };
  } catch (error) {
    failure = error;
    throw error;
  } finally {
    parts.builds.remove(live);
    recorded.end(failure, ended.response, ended.result);
  }
}

interface Ended {
  readonly response: Readonly<Record<string, string>>;
  readonly result: BuildOutcome | undefined;
}

/** What the client is told about the result, which is exported by then. */
async function answerOf(parts: ControlParts, asked: Asked): Promise<Ended> {
  const { images, multiPlatform, answer } = await resultOf(parts, asked);
  if (answer) return { response: answer, result: undefined };
  const { options } = asked;
  const predicates = await predicatesOf(parts.exports, {
    ...{ images, options, listener: asked.live.listen, signal: asked.signal },
  });
  const answers: ExporterAnswer[] = [];
  const { signal, live } = asked;
  const session = () => parts.sessions.get(live.sessionId, signal);
  for (const [index, { run, exporter }] of asked.exporters.entries()) {
    const step = stepNames[exporter.Type] ?? "exporting to image";
    answers.push(
      await internalStep(
        live.listen,
        step,
        async ({ transferred }) => {
          let sent = 0;
          const onBytes = (bytes: number): void => {
            sent += bytes;
          };
          const answer = await run(parts.exports, {
            exporter,
            index,
            images,
            multiPlatform,
            predicates,
            session,
            onBytes,
            signal,
          });
          if (exporter.Type in stepNames) transferred("files", sent);
          return answer;
        },
        String(index),
      ),
    );
  }
  const response = Object.assign({}, ...answers) as Record<string, string>;
  return { response, result: outcomeOf({ images, multiPlatform, predicates, answers }) };
}

/** Of exports to the client. */
const stepNames: Readonly<Record<string, string>> = {
  local: "exporting to client directory",
  tar: "exporting to client tarball",
};

/** In BuildKit's words. */
function refuseEntitlements(asked: readonly string[], allowed: readonly string[]): void {
  const refused = asked.find((entitlement) => !allowed.includes(entitlement));
  if (refused === undefined) return;
  throw new HullError(
    "permission-denied",
    `granting entitlement ${refused} is not allowed by build daemon configuration (daemon.json: "builder": {"entitlements": ...})`,
  );
}

function exportersOf(request: SolveRequest) {
  const { Exporters, ExporterDeprecated: type, ExporterAttrsDeprecated: attributes } = request;
  const old = type === "" ? [] : [{ $typeName: "moby.buildkit.v1.Exporter" as const, Type: type, Attrs: attributes }];
  return (Exporters.length > 0 ? Exporters : old).map((exporter) => ({ exporter, run: exporterNamed(exporter.Type) }));
}

interface Asked {
  readonly live: LiveBuild;
  readonly request: SolveRequest;
  readonly signal: AbortSignal;
  readonly exporters: ReturnType<typeof exportersOf>;
  readonly options: AttestOptions;
}

/** Built here when the request names a frontend; else the client drives the build and returns its result. */
async function resultOf(
  parts: ControlParts,
  { live, request, signal }: Asked,
): Promise<Pick<FrontendResult, "images" | "multiPlatform" | "answer">> {
  if (request.Frontend === "") return { ...(await live.returned(signal)), answer: undefined };
  if (request.Frontend !== "dockerfile.v0")
    throw new HullError("unimplemented", `frontend ${request.Frontend} is not available: use dockerfile.v0`);
  const { FrontendAttrs: attributes, Entitlements: entitlements } = request;
  const result = await buildDockerfile(parts, { live, attributes, entitlements, signal });
  live.holds.use(result);
  return result;
}
