/** BuildKit's API of the daemon: its gRPC services, and clients' sessions. */

import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { Content } from "../../containerd/gen/containerd/services/content/v1/content_pb.ts";
import type { Log } from "../../platform/log.ts";
import { Control } from "../gen/moby/buildkit/v1/control_pb.ts";
import { LLBBridge } from "../gen/moby/buildkit/v1/frontend/gateway_pb.ts";
import { Builds } from "./builds.ts";
import { contentService } from "./content-service.ts";
import { type ControlParts, controlService } from "./control-service.ts";
import { gatewayService } from "./gateway-service.ts";
import { GrpcConnections } from "./grpc-connections.ts";
import { Sessions } from "./session.ts";

export interface ControlApi {
  /** A connection of a gRPC client, whose first bytes were read. */
  grpc(socket: Socket, head: Buffer): void;
  /** A connection on which a client serves us. `headers`: X-Docker-Expose-Session-*, names in lower case. Throws invalid-argument. */
  session(headers: Readonly<Record<string, string>>, connection: Duplex, head: Buffer): void;
}

export type ControlApiParts = Omit<ControlParts, "builds" | "sessions" | "warn"> & { readonly log: Log };

export function controlApi({ log, ...parts }: ControlApiParts): ControlApi {
  const [builds, sessions] = [new Builds(), new Sessions()];
  const all = { ...parts, builds, sessions, warn: (message: string) => log.warn(message) };
  const connections = new GrpcConnections(log);
  connections.routes.service(Control, controlService(all));
  connections.routes.service(Content, contentService(all.history, all.content));
  connections.routes.service(LLBBridge, gatewayService(all));
  return {
    grpc: (socket, head) => connections.accept(socket, head),
    session: (headers, connection, head) => {
      connection.on("error", () => connection.destroy());
      if (head.length > 0) connection.unshift(head);
      sessions.accept(headers, connection);
    },
  };
}
