/** GET /system/df. Sizes are measured in the background of the request; nothing is locked meanwhile. */

import { HullError } from "../../platform/errors.ts";
import type { ContainerService } from "../containers/api.ts";
import type { ApiRequest } from "../http/request.ts";
import type { ApiResponse } from "../http/response.ts";
import type { Route } from "../http/route.ts";
import { formatSummary, layersBytes, sharedBytes } from "../images/format.ts";
import type { Images } from "../images/service.ts";
import { formatVolume } from "../volumes/routes.ts";
import type { LocalVolumes } from "../volumes/service.ts";

export interface UsagePorts {
  readonly images: Images;
  readonly volumes: LocalVolumes;
  readonly buildCache: () => Promise<readonly object[]>;
  readonly containers: () => Pick<ContainerService, "usage">;
}

const kinds = ["container", "image", "volume", "build-cache"];

export const diskUsageRoutes = (ports: UsagePorts): readonly Route[] => [
  {
    method: "GET",
    path: "/system/df",
    since: "1.25",
    handler: (request, response) => answer(ports, request, response),
  },
];

async function answer(ports: UsagePorts, request: ApiRequest, response: ApiResponse): Promise<void> {
  const asked = request.query.list("type");
  const unknown = asked.find((kind) => !kinds.includes(kind));
  if (unknown !== undefined) throw new HullError("invalid-argument", `unknown object type: ${unknown}`);
  const wants = (kind: string) => asked.length === 0 || asked.includes(kind);
  const [containers, volumes, buildCache] = await Promise.all([
    wants("container") ? ports.containers().usage(request.signal) : null,
    wants("volume") ? volumeUsage(ports.volumes) : null,
    wants("build-cache") ? ports.buildCache() : null,
  ]);
  const { catalog } = ports.images;
  response.json(200, {
    LayersSize: wants("image") ? layersBytes(catalog) : 0,
    Images: wants("image") ? imageUsage(ports.images) : null,
    Containers: containers,
    Volumes: volumes,
    BuildCache: buildCache,
  });
}

function imageUsage(images: Images): object[] {
  const { catalog } = images;
  return [...catalog.byId.values()].map((image) =>
    formatSummary(image, {
      containers: images.parts.users(image.id).length,
      sharedBytes: sharedBytes(image, catalog),
    }),
  );
}

async function volumeUsage(volumes: LocalVolumes): Promise<object[]> {
  const list = volumes.list();
  const sizes = await volumes.usage(list);
  return list.map((volume, i) => ({
    ...formatVolume(volume),
    UsageData: { RefCount: volumes.users(volume.name).length, Size: sizes[i] },
  }));
}
