/** One build over BuildKit's protocol: a session that serves our files, a solve, and what the daemon says meanwhile. */
import { randomBytes } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { Control, SolveRequestSchema, type StatusResponse } from "../../buildkit/gen/moby/buildkit/v1/control_pb.ts";
import { HullError } from "../../platform/errors.ts";
import { isCutOff } from "../../platform/grpc/call-failure.ts";
import type { GrpcTransport } from "../../platform/grpc/transport.ts";
import type { EngineAddress } from "../engine-address.ts";
import { transportOn, upgradeToHttp2 } from "./connection.ts";
import type { Exporter } from "./outputs.ts";
import type { Display } from "./progress/display.ts";
import type { Attributes } from "./request.ts";
import { serveOn } from "./served.ts";
import { addSessionServices, offeredMethods, type SessionContents } from "./session-services.ts";

export interface BuildOrder {
  readonly address: EngineAddress;
  readonly attributes: Attributes;
  readonly exporters: readonly Exporter[];
  readonly entitlements: readonly string[];
  readonly contents: SessionContents;
  readonly sharedKey: string;
  readonly display: Display;
  /** Unique: the build is known by it. */
  readonly ref: string;
  readonly traceparent: string;
}

export interface BuildAnswer {
  /** "containerimage.digest", ... */
  readonly facts: Attributes;
  readonly ref: string;
}

/** As buildx makes them. */
export const newRef = (): string => randomBytes(16).toString("hex").slice(0, 25);

/** Throws what the build failed of; the display has ended then. */
export async function runBuild(order: BuildOrder): Promise<BuildAnswer> {
  const { address, contents, display, ref } = order;
  const sessionId = newRef();
  let served: unknown;
  const session = upgradeToHttp2(address, "/session", [
    ["X-Docker-Expose-Session-Uuid", sessionId],
    ["X-Docker-Expose-Session-Name", "build"],
    ["X-Docker-Expose-Session-Sharedkey", order.sharedKey],
    ...offeredMethods(contents).map((name) => ["X-Docker-Expose-Session-Grpc-Method", name] as const),
  ]).then((socket) => {
    serveOn(
      socket,
      (routes) => addSessionServices(routes, contents),
      (error) => {
        served ??= error;
      },
    );
    return socket;
  });
  session.catch(() => undefined); // Told below.
  const socket = await upgradeToHttp2(address, "/grpc", []);
  await using transport = transportOn(socket, { traceparent: order.traceparent });
  const statuses = follow(transport, { ref, display });
  const solving = transport.unary(
    Control.method.solve,
    undefined,
    undefined,
    undefined,
    solveRequest(order, { ref, sessionId }),
  );
  try {
    const [{ message }, connection] = await Promise.all([solving, session]);
    await statuses;
    connection.destroy();
    return { facts: message.ExporterResponse, ref };
  } catch (error) {
    await statuses;
    session.then(
      (connection) => connection.destroy(),
      () => undefined,
    );
    throw whyOf(error, served);
  } finally {
    await display.end();
    socket.destroy();
  }
}

/** `served`: what our own services failed of, which the daemon may not have words for. */
function whyOf(error: unknown, served: unknown): unknown {
  if (isCutOff(error))
    return new HullError(
      "unavailable",
      "hull-buildkitd or hulld ended in the middle of the build: what was finished is kept, so run the build again",
      { cause: error },
    );
  const isSilent = error instanceof HullError && error.code === "internal" && error.message === "";
  return isSilent && served !== undefined ? served : error;
}

interface Ids {
  readonly ref: string;
  readonly sessionId: string;
}

const solveRequest = (order: BuildOrder, { ref, sessionId }: Ids) =>
  create(SolveRequestSchema, {
    Ref: ref,
    Session: sessionId,
    Frontend: "dockerfile.v0",
    FrontendAttrs: { ...order.attributes },
    Entitlements: [...order.entitlements],
    Exporters: order.exporters.map(({ Type, Attrs }) => ({ Type, Attrs: { ...Attrs } })),
    // Daemons of before several exporters know these two alone.
    ...(order.exporters.length === 1 && {
      ExporterDeprecated: order.exporters[0]!.Type,
      ExporterAttrsDeprecated: { ...order.exporters[0]!.Attrs },
    }),
    EnableSessionExporter: true,
  });

/** Never rejects: the solve says what is wrong. */
async function follow(
  transport: GrpcTransport,
  { ref, display }: { readonly ref: string; readonly display: Display },
): Promise<void> {
  const request = (async function* () {
    yield { Ref: ref };
  })();
  try {
    const options = { signal: undefined, headers: {} };
    for await (const status of transport.converse(Control.method.status, options, request))
      await display.take(status as StatusResponse);
  } catch (error) {
    if (!(error instanceof HullError)) throw error;
  }
}
