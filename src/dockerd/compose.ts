/** Makes the engine's services from its clients. No I/O but reading hulld's own records. */

import { randomUUID } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../platform/errors.ts";
import { Reserve } from "../platform/reserve.ts";
import type { DaemonConfig } from "./config.ts";
import { createContainers } from "./containers/service.ts";
import type { Engine } from "./engine.ts";
import { EventRing } from "./events/bus.ts";
import type { ImageUser } from "./images/api.ts";
import { ImageArchives } from "./images/archives.ts";
import { Images } from "./images/service.ts";
import { Networks } from "./networks/service.ts";
import { VolumeDisk } from "./volumes/disk.ts";
import { LocalVolumes } from "./volumes/service.ts";
import { VolumeStore } from "./volumes/store.ts";

/** For one file of a few hundred bytes at a time. */
const VOLUME_RESERVE_BYTES = 64 * 1024;

/** The engine with the concrete services that the routes of this process need. */
export interface HulldEngine extends Engine {
  readonly id: string;
  readonly events: EventRing;
  readonly images: Images;
  readonly archives: ImageArchives;
  readonly volumes: LocalVolumes;
  readonly networks: Networks;
}

export type EngineClients = Pick<Engine, "kernel" | "containerd" | "netd" | "tracer" | "log"> & {
  readonly config: () => DaemonConfig;
};

export async function buildEngine(clients: EngineClients): Promise<HulldEngine> {
  const { config, kernel, containerd, netd, tracer, log } = clients;
  const { dataRoot } = config();
  const onFailure = (what: string, error: unknown) => log.error(`${what}: ${messageOf(error)}`);
  const events = new EventRing();
  const users = (imageId: string): ImageUser[] => usersOf(engine, imageId);
  const images = new Images({ containerd, events, users, onFailure });
  const store = new VolumeStore(
    join(dataRoot, "volumes"),
    new Reserve(join(dataRoot, "reserve"), VOLUME_RESERVE_BYTES),
  );
  const parts = {
    get config() {
      return config();
    },
    id: engineId(dataRoot),
    kernel,
    containerd,
    netd,
    tracer,
    log,
    events,
    images,
    archives: new ImageArchives(images, kernel, join(dataRoot, "tmp")),
    volumes: new LocalVolumes({ store, disk: new VolumeDisk(kernel), events, onFailure }),
    networks: new Networks(netd, events),
    adopts: true,
  };
  const containers = createContainers(parts);
  const engine: HulldEngine = Object.create(parts, { containers: { value: containers, enumerable: true } });
  await parts.archives.open();
  await containers.open();
  return engine;
}

function usersOf(engine: HulldEngine, imageId: string): ImageUser[] {
  return engine.containers
    .list()
    .filter((record) => record.imageId === imageId)
    .map(({ id, state }) => ({ containerId: id, running: state.kind === "running" || state.kind === "paused" }));
}

/** A random id, made at the first start. */
function engineId(dataRoot: string): string {
  const path = join(dataRoot, "engine-id");
  if (!existsSync(path)) writeFileSync(path, `${randomUUID()}\n`, { mode: 0o600 });
  return readFileSync(path, "utf8").trim();
}
