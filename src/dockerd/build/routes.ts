/** /build, /session, /grpc: the builder is not there yet, and says so before it reads a context. */
import type { Route } from "../http/route.ts";
import { notYet } from "../system/routes.ts";

export const buildRoutes: readonly Route[] = [
  { method: "POST", path: "/build", handler: () => notYet("building images") },
  { method: "POST", path: "/build/cancel", handler: () => notYet("building images") },
  { method: "POST", path: "/session", handler: () => notYet("building images with BuildKit") },
  { method: "POST", path: "/grpc", handler: () => notYet("building images with BuildKit") },
  {
    method: "POST",
    path: "/build/prune",
    // There is no build cache: nothing to remove is an honest answer, and `docker system prune` needs it.
    handler: (_request, response) => response.json(200, { CachesDeleted: null, SpaceReclaimed: 0 }),
  },
];
