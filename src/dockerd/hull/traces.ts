/** Spans of a command from every daemon that took part: /hull/v1/traces, and what the command line itself recorded. */
import type { ContainerdClient } from "../../containerd/client.ts";
import { call } from "../../containerd/client.ts";
import type { NetdClient } from "../../network/client.ts";
import { HullError } from "../../platform/errors.ts";
import type { SpanRecord } from "../../trace/span.ts";
import type { SpanStore } from "../../trace/store.ts";
import type { ApiRequest } from "../http/request.ts";
import type { ApiResponse } from "../http/response.ts";
import type { Route } from "../http/route.ts";
import { anything, float, list, map, struct, text } from "../http/shape.ts";

export interface TracePorts {
  readonly spans: SpanStore;
  readonly containerd: ContainerdClient;
  readonly netd: NetdClient;
  /** hull-buildkitd's, given those of others. */
  readonly builder: (traceId: string, known: readonly SpanRecord[]) => Promise<readonly SpanRecord[]>;
  /** Full id of a container by any reference; undefined when unknown (it may be gone: then the reference is tried as an id). */
  readonly containerId: (reference: string) => string | undefined;
}

/** A daemon that does not answer at once is left out of the picture. */
const ASK_MS = 1000;
const LISTED = 50;

const spansShape = list(
  struct("trace.Span", {
    traceId: text,
    spanId: text,
    parentId: text,
    name: text,
    service: text,
    startMs: float,
    durationMs: float,
    attributes: map(anything),
    error: text,
  }),
);

export const traceRoutes = (ports: TracePorts): readonly Route[] => [
  {
    method: "GET",
    path: "/hull/v1/traces",
    untraced: true,
    handler: (request, response) => find(ports, request, response),
  },
  {
    method: "POST",
    path: "/hull/v1/spans",
    untraced: true,
    handler: (request, response) => record(ports, request, response),
  },
];

async function record({ spans }: TracePorts, request: ApiRequest, response: ApiResponse): Promise<void> {
  const given = await request.json(spansShape);
  for (const span of given) {
    if (!/^[0-9a-f]{32}$/.test(span.traceId) || !/^[0-9a-f]{16}$/.test(span.spanId)) {
      throw new HullError("invalid-argument", "a span lacks its ids");
    }
    spans.record({ ...span, attributes: plainAttributes(span.attributes) });
  }
  response.empty(204);
}

const plainAttributes = (attributes: Readonly<Record<string, unknown>>): SpanRecord["attributes"] =>
  Object.fromEntries(
    Object.entries(attributes).map(([key, value]) => [key, typeof value === "number" ? value : String(value)]),
  );

async function find(ports: TracePorts, request: ApiRequest, response: ApiResponse): Promise<void> {
  const { query } = request;
  if (query.bool("list")) return response.json(200, { traces: roots(ports.spans) });
  const ids = tracesAsked(ports, request);
  const found = await Promise.all(ids.map((id) => wholeTrace(ports, id)));
  response.json(200, { spans: found.flat() });
}

function tracesAsked({ spans, containerId }: TracePorts, { query }: ApiRequest): string[] {
  if (query.has("trace")) return [query.text("trace")];
  if (!query.has("container")) return spans.latest(Math.min(query.integer("last") ?? 1, LISTED));
  const reference = query.text("container");
  const container = containerId(reference) ?? reference;
  return [...new Set(spans.find({ container }).map((span) => span.traceId))];
}

/** The first span of each of the latest traces, newest first. */
function roots(spans: SpanStore): SpanRecord[] {
  return spans.latest(LISTED).flatMap((traceId) => {
    const all = spans.find({ traceId });
    const root = all.find((span) => span.parentId === "") ?? all[0];
    return root ? [root] : [];
  });
}

async function wholeTrace({ spans, containerd, netd, builder }: TracePorts, traceId: string): Promise<SpanRecord[]> {
  const remote = await Promise.allSettled([
    containerd.daemon.spans({ traceId }, call({ timeoutMs: ASK_MS })).then(({ json }) => parseSpans(json)),
    netd
      .call("spans", { traceId }, { signal: AbortSignal.timeout(ASK_MS), retryForMs: 0 })
      .then((found) => found as unknown as SpanRecord[]),
    builder(traceId, spans.find({ traceId })),
  ]);
  const theirs = remote.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
  const all = [...spans.find({ traceId }), ...theirs];
  return [...new Map(all.map((span) => [span.spanId, span])).values()].sort((a, b) => a.startMs - b.startMs);
}

const parseSpans = (json: Uint8Array): SpanRecord[] => JSON.parse(Buffer.from(json).toString() || "[]") as SpanRecord[];
