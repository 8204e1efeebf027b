/**
 * An engine beside the real one, for rehearsals: hulld's own services with records, events and names of their own, on the same daemons. Nobody
 * else sees what it makes; what a killed hulld leaves of it is owned by no record and goes with the next start's first look.
 *
 * Lifecycle: `openStage` -> `perform`, one after the other -> dispose.
 */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { digestOf } from "../../oci/digest.ts";
import { parseImageConfig } from "../../oci/image.ts";
import { type Endpoint, send, upgrade } from "../../platform/http-client.ts";
import { keelPath } from "../../platform/paths.ts";
import { Reserve } from "../../platform/reserve.ts";
import { listenUnix } from "../../platform/unix-listener.ts";
import { formatTraceparent, newSpanId, newTraceId } from "../../trace/context.ts";
import { Tracer } from "../../trace/tracer.ts";
import { createContainers } from "../containers/service.ts";
import type { Engine, EngineParts } from "../engine.ts";
import { EventRing } from "../events/bus.ts";
import { ApiServer } from "../http/api-server.ts";
import type { ImageService, ResolvedImage } from "../images/api.ts";
import { VolumeDisk } from "../volumes/disk.ts";
import { LocalVolumes } from "../volumes/service.ts";
import { VolumeStore } from "../volumes/store.ts";

export interface Stage extends AsyncDisposable {
  /** One container from its creation to its removal, as `hull run --rm` asks for it. Throws what the engine answered. */
  perform(): Promise<void>;
}

export async function openStage(engine: Engine): Promise<Stage> {
  const directory = join(engine.config.execRoot, "rehearsal");
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rmSync(directory, { recursive: true, force: true }));
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { mode: 0o700 });
  const containers = createContainers(partsOf(engine, directory));
  await containers.open();
  stack.defer(() => containers.close());
  const server = new ApiServer({ routes: containers.routes(), tracer, serverVersion: "", onFailure: () => {} });
  stack.defer(() => server.closeAll());
  const path = join(directory, "s");
  const listener = await listenUnix({ path, allowHalfOpen: true, onConnection: (socket) => server.accept(socket) });
  stack.defer(() => listener.close());
  const body = JSON.stringify(wishOf(engine));
  const owned = stack.move();
  return {
    perform: () => perform({ kind: "unix", path }, body),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Nobody asks for the spans of a rehearsal. */
const tracer = new Tracer("hulld", { record: () => {} });

function partsOf(engine: Engine, directory: string): EngineParts {
  const { kernel, containerd, netd, networks, log } = engine;
  const events = new EventRing();
  const store = new VolumeStore(join(directory, "volumes"), new Reserve(join(directory, "reserve"), 0));
  return {
    get config() {
      return { ...engine.config, dataRoot: directory };
    },
    kernel,
    containerd,
    netd,
    networks,
    log,
    events,
    images,
    adopts: false,
    tracer,
    volumes: new LocalVolumes({ store, disk: new VolumeDisk(kernel), events, onFailure: () => {} }),
  };
}

const config = parseImageConfig(Buffer.from(JSON.stringify({ rootfs: { type: "layers", diff_ids: [] }, config: {} })));

/** Without a layer: no image of the user's is needed. */
const empty: ResolvedImage = {
  id: digestOf(""),
  reference: "rehearsal",
  recordName: "rehearsal",
  config,
  chainId: "",
  manifest: { mediaType: "", digest: digestOf(""), size: 0 },
  repoTags: [],
};

const images: ImageService = {
  resolve: async () => empty,
  find: () => empty,
  refresh: async () => empty,
};

/** keel, which is static, is the program. */
const wishOf = (engine: Engine) => ({
  Image: empty.reference,
  Cmd: ["/keel", "stat", "/"],
  AttachStdout: true,
  AttachStderr: true,
  HostConfig: {
    AutoRemove: true,
    Binds: [`${keelPath()}:/keel:ro`],
    NetworkMode: engine.networks.find("bridge") ? "bridge" : "none",
  },
});

async function perform(endpoint: Endpoint, body: string): Promise<void> {
  const headers = {
    "Content-Type": "application/json",
    traceparent: formatTraceparent({ traceId: newTraceId(), spanId: newSpanId() }),
  };
  const call = (path: string, content = "") => send(endpoint, { method: "POST", path, headers, body: content });
  const created = await call("/v1.51/containers/create", body);
  const { Id: id, message } = (await created.json()) as { Id?: string; message?: string };
  if (id === undefined) throw new Error(message);
  const waiting = await call(`/v1.51/containers/${id}/wait?condition=removed`);
  const attach = `/v1.51/containers/${id}/attach?stream=1&stdout=1&stderr=1`;
  const hijacked = await upgrade(endpoint, { method: "POST", path: attach, headers });
  using attached = hijacked.stream;
  attached.end();
  const started = await call(`/v1.51/containers/${id}/start`);
  if (started.status !== 204) throw new Error(await started.text());
  for await (const chunk of attached) void chunk;
  await waiting.text();
}
