/** /volumes */

import type { EventBus } from "../events/api.ts";
import { type Filters, parseFilters } from "../http/filters.ts";
import type { ApiRequest } from "../http/request.ts";
import type { ApiResponse } from "../http/response.ts";
import type { Route } from "../http/route.ts";
import { map, struct, text } from "../http/shape.ts";
import type { Volume } from "./api.ts";
import type { LocalVolumes } from "./service.ts";

const createShape = struct("volume.CreateOptions", {
  Name: text,
  Driver: text,
  DriverOpts: map(text),
  Labels: map(text),
});

interface VolumePorts {
  readonly volumes: LocalVolumes;
  readonly events: EventBus;
}

export const volumeRoutes = (ports: VolumePorts): readonly Route[] => {
  const { volumes } = ports;
  return [
    { method: "GET", path: "/volumes", handler: (request, response) => list(volumes, request, response) },
    { method: "POST", path: "/volumes/create", handler: (request, response) => create(volumes, request, response) },
    {
      method: "POST",
      path: "/volumes/prune",
      since: "1.25",
      handler: async (request, response) => response.json(200, await prune(ports, request)),
    },
    {
      method: "GET",
      path: "/volumes/{name}",
      handler: (request, response) => response.json(200, formatVolume(volumes.get(request.param("name")))),
    },
    {
      method: "DELETE",
      path: "/volumes/{name}",
      handler: async (request, response) => {
        await volumes.remove(request.param("name"), request.query.bool("force"));
        response.empty(204);
      },
    },
  ];
};

const orNull = <T extends object>(value: T): T | null => (Object.keys(value).length === 0 ? null : value);

/** A volume as the API shows it. */
export const formatVolume = (volume: Volume) => ({
  CreatedAt: volume.createdAt,
  Driver: volume.driver,
  Labels: orNull(volume.labels),
  Mountpoint: volume.mountpoint,
  Name: volume.name,
  Options: orNull(volume.options),
  Scope: "local",
});

function list(volumes: LocalVolumes, request: ApiRequest, response: ApiResponse): void {
  const filters = parseFilters(request.query.text("filters"), ["dangling", "driver", "label", "name"]);
  const dangling = filters.bool("dangling");
  const wanted = volumes
    .list()
    .filter((volume) => dangling === undefined || (volumes.users(volume.name).length === 0) === dangling)
    .filter((volume) => filters.match("name", volume.name) && filters.exact("driver", volume.driver))
    .filter((volume) => filters.labels("label", volume.labels));
  response.json(200, { Volumes: wanted.map(formatVolume), Warnings: null });
}

async function create(volumes: LocalVolumes, request: ApiRequest, response: ApiResponse): Promise<void> {
  const body = await request.json(createShape);
  const volume = await volumes.create({
    name: body.Name,
    driver: body.Driver,
    driverOpts: body.DriverOpts,
    labels: body.Labels,
  });
  response.json(201, formatVolume(volume));
}

async function prune({ volumes, events }: VolumePorts, request: ApiRequest): Promise<object> {
  const filters = parseFilters(request.query.text("filters"), ["label", "label!", "all"]);
  const everything = request.atLeast("1.42") ? (filters.bool("all") ?? false) : true;
  const doomed = volumes
    .list()
    .filter((volume) => isPrunable(volume, filters, everything) && isUnused(volumes, volume));
  const sizes = await volumes.usage(doomed);
  const deleted: string[] = [];
  let reclaimed = 0;
  for (const [i, volume] of doomed.entries()) {
    if (request.signal.aborted || !isUnused(volumes, volume)) continue;
    await volumes.remove(volume.name, true);
    deleted.push(volume.name);
    reclaimed += sizes[i]!;
  }
  events.publish({ type: "volume", action: "prune", id: "", attributes: { reclaimed: String(reclaimed) } });
  return { VolumesDeleted: deleted.length === 0 ? null : deleted, SpaceReclaimed: reclaimed };
}

const isUnused = (volumes: LocalVolumes, volume: Volume): boolean => volumes.users(volume.name).length === 0;

const isPrunable = (volume: Volume, filters: Filters, everything: boolean): boolean =>
  (everything || volume.anonymous) &&
  filters.labels("label", volume.labels) &&
  filters.withoutLabels("label!", volume.labels);
