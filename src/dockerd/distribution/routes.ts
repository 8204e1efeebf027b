/** GET /distribution/{name}/json: needs a registry client, which is not there yet. */
import type { Route } from "../http/route.ts";
import { notYet } from "../system/routes.ts";

export const distributionRoutes: readonly Route[] = [
  { method: "GET", path: "/distribution/{name}/json", handler: () => notYet("asking a registry") },
];
