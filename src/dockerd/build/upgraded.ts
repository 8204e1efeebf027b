/** /session and /grpc: `101 UPGRADED`, then raw bytes both ways between the client and hull-buildkitd, which speaks HTTP/2 on them. */
import type { Socket } from "node:net";
import { answerOf, ask } from "../../buildkit/client.ts";
import { HullError } from "../../platform/errors.ts";
import { formatTraceparent } from "../../trace/context.ts";
import type { ApiRequest } from "../http/request.ts";
import type { ApiResponse, RawConnection } from "../http/response.ts";
import type { BuilderPort } from "./pass-through.ts";

/** The daemon is asked before the client is answered: a refusal is an HTTP error. */
export async function passUpgraded(
  port: BuilderPort,
  kind: "session" | "grpc",
  { request, response }: { request: ApiRequest; response: ApiResponse },
): Promise<void> {
  if (request.upgrade?.toLowerCase() !== "h2c")
    throw new HullError(
      "invalid-argument",
      `no upgrade to h2c was asked for: POST /${kind} needs "Connection: Upgrade" and "Upgrade: h2c"`,
    );
  const connection = await ask(await port.connect(), {
    kind,
    version: request.version,
    traceparent: formatTraceparent(request.span.context),
    session: Object.fromEntries([...request.headers].filter(([name]) => name.startsWith("x-docker-expose-session-"))),
  });
  await answerOf(connection);
  const client = response.hijack("application/vnd.docker.raw-stream");
  const builder = connection.release();
  await joined(client, builder.socket, builder.head);
}

/** Until either side has gone. A client that ends its half has gone too: nobody speaks HTTP/2 on half a connection. */
function joined(client: RawConnection, builder: Socket, head: Buffer): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      client.socket.destroy();
      builder.destroy();
      resolve();
    };
    for (const side of [client.socket, builder]) side.on("error", end).on("close", end);
    if (head.length > 0) client.socket.write(head);
    if (client.head.length > 0) builder.write(client.head);
    pass(client.socket, builder);
    pass(builder, client.socket);
    client.socket.once("end", end);
    if (client.ended || client.socket.destroyed || builder.destroyed) end();
  });
}

function pass(from: Socket, to: Socket): void {
  from.on("data", (chunk: Buffer) => {
    if (!to.write(chunk)) from.pause();
  });
  to.on("drain", () => from.resume());
  from.once("end", () => to.end());
  from.resume();
}
