/** What hull-buildkitd recorded of a trace. */
import { ask, jsonOf } from "../../buildkit/client.ts";
import type { SpanRecord } from "../../trace/span.ts";
import type { BuilderPort } from "./pass-through.ts";

const ofBuilds = new Set(["build", "POST /build", "POST /grpc"]);

/** `known`: what others recorded. It is started only for what looks like a build. */
export async function builderSpans(
  port: BuilderPort,
  traceId: string,
  known: readonly SpanRecord[],
): Promise<readonly SpanRecord[]> {
  const mayKnow = known.length === 0 || known.some(({ name }) => ofBuilds.has(name));
  if (!port.isThere() && !(mayKnow && port.hasCache())) return [];
  using connection = await ask(await port.connect(), {
    kind: "spans",
    query: new URLSearchParams({ trace: traceId }).toString(),
  });
  return await jsonOf<readonly SpanRecord[]>(connection);
}
