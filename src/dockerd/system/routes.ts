/** _ping, version, info, and what of Docker's API is answered without doing anything: swarm, plugins. */
import { HullError } from "../../platform/errors.ts";
import { notASwarmManager } from "../http/messages.ts";
import type { ApiResponse } from "../http/response.ts";
import type { Method, Route } from "../http/route.ts";

export interface SystemPort {
  version(): object;
  info(): object;
}

export const systemRoutes = (system: SystemPort): readonly Route[] => [
  ...(["GET", "HEAD"] as const).map(ping),
  { method: "GET", path: "/version", handler: (_request, response) => response.json(200, system.version()) },
  { method: "GET", path: "/info", handler: (_request, response) => response.json(200, system.info()) },
  { method: "GET", path: "/plugins", handler: (_request, response) => response.json(200, []) },
  { method: "GET", path: "/plugins/{name}/json", handler: (request) => noPlugin(request.param("name")) },
  ...swarmRoutes,
];

const ping = (method: Method): Route => ({
  method,
  path: "/_ping",
  untraced: true,
  handler: (_request, response) => answerPing(response),
});

function answerPing(response: ApiResponse): void {
  response.header("Builder-Version", "1");
  response.header("Swarm", "inactive");
  response.header("Cache-Control", "no-cache, no-store, must-revalidate");
  response.header("Pragma", "no-cache");
  response.text(200, "OK");
}

/** The error of a part of the API that is not there yet. */
export function notYet(what: string): never {
  throw new HullError("unimplemented", `${what} is not available in this version of Glasshull`);
}

function noPlugin(name: string): never {
  throw new HullError("not-found", `plugin "${name}" not found`);
}

const swarmPaths: readonly (readonly [Method, string])[] = [
  ["GET", "/swarm"],
  ["POST", "/swarm/leave"],
  ["POST", "/swarm/update"],
  ["GET", "/swarm/unlockkey"],
  ["POST", "/swarm/unlock"],
  ...["nodes", "services", "tasks", "secrets", "configs"].flatMap((kind): (readonly [Method, string])[] => [
    ["GET", `/${kind}`],
    ["GET", `/${kind}/{id}`],
    ["POST", `/${kind}/create`],
    ["POST", `/${kind}/{id}/update`],
    ["DELETE", `/${kind}/{id}`],
  ]),
];

const swarmRoutes: readonly Route[] = [
  ...swarmPaths.map(([method, path]) => ({
    method,
    path,
    handler: () => {
      throw new HullError("unavailable", notASwarmManager);
    },
  })),
  { method: "POST", path: "/swarm/init", handler: () => notYet("swarm mode") },
  { method: "POST", path: "/swarm/join", handler: () => notYet("swarm mode") },
];
