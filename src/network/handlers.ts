/** The methods of api.ts over the parts of netd: decode, call, encode. */
import { codeOf, HullError } from "../platform/errors.ts";
import type { CallContext, Handlers } from "../platform/rpc-server.ts";
import { HULL_VERSION } from "../platform/version.ts";
import { parseTraceparent, type SpanContext } from "../trace/context.ts";
import type { SpanRecord } from "../trace/span.ts";
import type { Tracer } from "../trace/tracer.ts";
import type {
  Connected,
  ConnectRequest,
  ContainerKey,
  EndpointRequest,
  NetdMethods,
  NetdStatus,
  Reservation,
} from "./api.ts";
import { isOfLivingBuilder } from "./build-sandboxes.ts";
import { connectedAnswer } from "./connected-answer.ts";
import { addressFor, checkEndpoint } from "./endpoint-choice.ts";
import type { Netd } from "./netd.ts";
import type { SandboxRecord } from "./record.ts";

export interface HandlerParts {
  readonly netd: Netd;
  readonly tracer: Tracer;
  /** Spans of a trace that are kept. */
  readonly spans: (traceId: string) => readonly SpanRecord[];
  readonly startedAtMs: number;
}

export function handlers(parts: HandlerParts): Handlers<NetdMethods> {
  const { netd, startedAtMs } = parts;
  const { networks, sandboxes } = netd;
  const answer = (record: SandboxRecord): Connected => connectedAnswer(netd, record);
  return {
    unary: {
      ping: async () => ({ version: HULL_VERSION, pid: process.pid, startedAtMs }),
      status: async () => status(netd, startedAtMs),
      createNetwork: (request, context) =>
        traced(parts, context, `network create ${request.name}`, async () => {
          await netd.ensureUp();
          return networks.details(await networks.create(request));
        }),
      removeNetwork: ({ network }, context) =>
        traced(parts, context, `network remove ${network}`, async () =>
          networks.details(await networks.remove(network)),
        ),
      listNetworks: async () =>
        netd.store
          .networks()
          .filter((one) => !one.removing)
          .map((one) => networks.details(one)),
      inspectNetwork: async ({ network }) => networks.details(networks.get(network)),
      reserve: async (request) => reserve(netd, request),
      connect: (request, context) =>
        traced(parts, context, "connect", async (span) => {
          await netd.ensureUp();
          checkConnect(request);
          return answer(await sandboxes.connect(request, span));
        }),
      inspect: async ({ containerId }) => answer(connected(netd, containerId)),
      connectNetwork: (request, context) =>
        traced(parts, context, "connect network", async () => connectLive(netd, request, answer)),
      disconnectNetwork: (request, context) =>
        traced(parts, context, "disconnect network", async () => disconnectLive(netd, request, answer)),
      rename: async ({ containerId, names }) => {
        sandboxes.rename(containerId, names);
        return {};
      },
      borrowDns: async ({ containerId, pauseSocket }) => {
        await sandboxes.borrowDns(containerId, pauseSocket);
        return {};
      },
      release: ({ containerId }, context) =>
        traced(parts, context, "release", async () => {
          await sandboxes.release(containerId);
          return {};
        }),
      forget: async ({ containerId }) => {
        await sandboxes.release(containerId);
        netd.store.putReservation({ containerId, endpoints: [] });
        return {};
      },
      retain: async ({ running, existing }) => retain(netd, running, existing),
      standDown: async () => ({ done: await netd.standDown() }),
      spans: async ({ traceId }) => parts.spans(traceId) as unknown as readonly Readonly<Record<string, unknown>>[],
    },
    streams: { events: (_, { signal }) => netd.events.subscribe(signal) },
  };
}

function traced<T>(
  parts: HandlerParts,
  context: CallContext,
  name: string,
  body: (span: SpanContext) => Promise<T>,
): Promise<T> {
  const parent = parseTraceparent(context.trace);
  if (!parent) return body({ traceId: "", spanId: "" });
  return parts.tracer.within(name, { parent }, (span) => body(span.context));
}

function status(netd: Netd, startedAtMs: number): NetdStatus {
  return {
    version: HULL_VERSION,
    pid: process.pid,
    startedAtMs,
    firewallBackend: netd.rules.usable ? netd.settings.firewallBackend : "none",
    degraded: netd.degraded,
    defaultBridge: netd.networks.defaultBridge?.bridge ?? "",
    networks: netd.store.networks().length,
    endpoints: netd.store.sandboxes().reduce((sum, sandbox) => sum + sandbox.endpoints.length, 0),
    poolReady: netd.pool.ready,
    repairs: netd.repairs,
  };
}

const containerIdForm = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/;

function checkConnect(request: ConnectRequest): void {
  if (!containerIdForm.test(request.containerId)) {
    throw new HullError("invalid-argument", `invalid container id "${request.containerId}"`);
  }
  for (const { containerPort, hostPort } of request.ports) {
    if (containerPort < 1 || containerPort > 65535 || hostPort < 0 || hostPort > 65535) {
      throw new HullError("invalid-argument", `invalid port ${hostPort}:${containerPort}`);
    }
  }
}

function connected(netd: Netd, containerId: string): SandboxRecord {
  const record = netd.store.sandbox(containerId);
  if (record?.state === "connected") return record;
  throw new HullError("not-found", `container ${containerId} has no network sandbox`);
}

/** Checks every endpoint before anything is held. */
function reserve(netd: Netd, request: Reservation): Record<string, never> {
  const { containerId } = request;
  const held: EndpointRequest[] = [];
  for (const endpoint of request.endpoints) {
    const stored = netd.networks.get(endpoint.network);
    const network = netd.networks.bridge(stored.id);
    if (!network) continue;
    checkEndpoint(network, endpoint);
    if (!endpoint.ip && !endpoint.ip6) continue;
    const context = { network, request: endpoint, book: netd.book, containerId };
    if (endpoint.ip) addressFor(context, 4);
    if (endpoint.ip6) addressFor(context, 6);
    held.push({ ...endpoint, network: stored.id });
  }
  netd.store.putReservation({ containerId, endpoints: held });
  return {};
}

async function connectLive(
  netd: Netd,
  request: ContainerKey & { readonly endpoint: EndpointRequest },
  answer: (record: SandboxRecord) => Connected,
): Promise<Connected> {
  await netd.ensureUp();
  const { containerId, endpoint } = request;
  const record = await netd.sandboxes.connectNetwork(containerId, endpoint);
  if (record.dnsRedirected && record.pauseSocket) await netd.sandboxes.borrowDns(containerId, record.pauseSocket);
  return answer(record);
}

async function disconnectLive(
  netd: Netd,
  request: ContainerKey & { readonly network: string },
  answer: (record: SandboxRecord) => Connected,
): Promise<Connected> {
  return answer(await netd.sandboxes.disconnectNetwork(request.containerId, request.network));
}

async function retain(
  netd: Netd,
  running: readonly string[],
  existing: readonly string[],
): Promise<Record<string, never>> {
  const runs = new Set(running);
  const exists = new Set(existing);
  const gone = netd.store
    .sandboxes()
    .filter(({ containerId }) => !runs.has(containerId) && !isOfLivingBuilder(containerId));
  const results = await Promise.allSettled(gone.map((sandbox) => netd.sandboxes.release(sandbox.containerId)));
  for (const { containerId } of netd.store.reservations()) {
    if (!exists.has(containerId)) netd.store.putReservation({ containerId, endpoints: [] });
  }
  const failed = results.find((result) => result.status === "rejected");
  if (failed)
    throw new HullError(codeOf(failed.reason), "some containers' networking could not be released", {
      cause: failed.reason,
    });
  return {};
}
