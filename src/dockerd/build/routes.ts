/** /build, /build/cancel, /build/prune, /session, /grpc: hull-buildkitd's, passed through. */
import type { BuiltImages, PruneAnswer } from "../../buildkit/api.ts";
import { jsonOf } from "../../buildkit/client.ts";
import { codeOf, HullError } from "../../platform/errors.ts";
import type { ApiRequest } from "../http/request.ts";
import type { ApiResponse } from "../http/response.ts";
import type { Route } from "../http/route.ts";
import type { Images } from "../images/service.ts";
import { askBuilder, type BuilderPort, passBuild, uploadAt } from "./pass-through.ts";
import { passUpgraded } from "./upgraded.ts";

export interface BuildPorts {
  readonly builder: BuilderPort;
  readonly images: Images;
}

export const buildRoutes = (ports: BuildPorts): readonly Route[] => [
  { method: "POST", path: "/build", handler: (request, response) => build(ports, request, response) },
  { method: "POST", path: "/build/cancel", handler: (request, response) => cancel(ports, request, response) },
  { method: "POST", path: "/build/prune", handler: (request, response) => prune(ports, request, response) },
  ...(["session", "grpc"] as const).map(
    (kind): Route => ({
      method: "POST",
      path: `/${kind}`,
      handler: async (request, response) => {
        await passUpgraded(ports.builder, kind, { request, response });
        // What its client built may be what is asked for next: events come a moment later.
        if (kind === "grpc") await ports.images.reload();
      },
    }),
  ),
];

async function build({ builder, images }: BuildPorts, request: ApiRequest, response: ApiResponse): Promise<void> {
  const upload = await uploadAt(request);
  const connection = await askBuilder(builder, "build", request, upload);
  await passBuild({ connection, upload }, { request, response, onBuilt: (built) => take(images, built) });
}

/** What was built is known before the client asks for it. */
async function take(images: Images, { built }: BuiltImages): Promise<void> {
  if (built.length === 0) return;
  try {
    await images.reload();
  } catch (error) {
    // It is all read again when hull-containerd is back; the image is there.
    if (codeOf(error) !== "unavailable") throw error;
    return;
  }
  for (const { id, tags } of built) {
    const image = images.catalog.byId.get(id);
    if (!image) continue; // Removed again meanwhile.
    for (const tag of tags) images.publish("tag", image, tag);
  }
}

/** Where no builder runs, nothing is built. */
async function cancel({ builder }: BuildPorts, request: ApiRequest, response: ApiResponse): Promise<void> {
  if (request.query.text("id") === "") throw new HullError("invalid-argument", "missing build ID in query");
  if (builder.isThere()) {
    using connection = await askBuilder(builder, "cancel", request);
    await jsonOf(connection);
  }
  response.empty(204);
}

async function prune({ builder }: BuildPorts, request: ApiRequest, response: ApiResponse): Promise<void> {
  if (!builder.hasCache()) return response.json(200, { CachesDeleted: null, SpaceReclaimed: 0 });
  using connection = await askBuilder(builder, "prune", request);
  response.json(200, await jsonOf<PruneAnswer>(connection));
}
