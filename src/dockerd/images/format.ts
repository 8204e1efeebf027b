/** Images as the API shows them. Pure. */
import { compareVersions } from "../http/version.ts";
import { type Catalog, type Image, repoDigests, repoTags, sizeOf } from "./catalog.ts";

/** A row of GET /images/json. */
export function formatSummary(
  image: Image,
  extra: { readonly containers: number; readonly sharedBytes: number },
): object {
  return {
    Containers: extra.containers,
    Created: Math.floor(image.createdMs / 1000),
    Id: image.id,
    Labels: Object.keys(image.labels).length === 0 ? null : image.labels,
    ParentId: "",
    RepoDigests: repoDigests(image),
    RepoTags: repoTags(image),
    SharedSize: extra.sharedBytes,
    Size: sizeOf(image),
  };
}

/** Bytes of an image's layers that another image has too. */
export function sharedBytes(image: Image, catalog: Catalog): number {
  const others = new Set(
    [...catalog.byId.values()]
      .filter(({ id }) => id !== image.id)
      .flatMap(({ layers }) => layers.map((layer) => layer.chainId)),
  );
  return image.layers.reduce((sum, layer) => sum + (others.has(layer.chainId) ? layer.bytes : 0), 0);
}

/** Bytes of all layers, each counted once. */
export function layersBytes(catalog: Catalog): number {
  const layers = new Map(
    [...catalog.byId.values()].flatMap((image) => image.layers.map((layer) => [layer.chainId, layer.bytes])),
  );
  return [...layers.values()].reduce((sum, bytes) => sum + bytes, 0);
}

type Json = Readonly<Record<string, unknown>>;

export interface GraphDriver {
  readonly Name: string;
  readonly Data: Readonly<Record<string, string>> | null;
}

/** GET /images/{name}/json. */
export function formatInspect(image: Image, graphDriver: GraphDriver, version: string): object {
  const { document, platform, diffIds } = image.config;
  const size = sizeOf(image);
  return {
    Id: image.id,
    RepoTags: repoTags(image),
    RepoDigests: repoDigests(image),
    Parent: "",
    Comment: textOf(document.comment) || lastComment(document),
    Created: document.created ?? "",
    DockerVersion: textOf(document.docker_version),
    Author: textOf(document.author),
    Config: formatConfig((document.config ?? {}) as Json, version),
    Architecture: platform.architecture,
    ...(platform.variant === undefined ? {} : { Variant: platform.variant }),
    Os: platform.os,
    Size: size,
    ...(compareVersions(version, "1.44") < 0 ? { VirtualSize: size } : {}),
    GraphDriver: graphDriver,
    RootFS: { Type: "layers", Layers: diffIds },
    Metadata: { LastTagTime: lastTagTime(image) },
  };
}

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");

function lastComment(document: Json): string {
  const history = document.history;
  return Array.isArray(history) ? textOf((history.at(-1) as Json | undefined)?.comment) : "";
}

function lastTagTime(image: Image): string {
  const latest = Math.max(
    0,
    ...image.records.flatMap(({ reference, updatedAtMs }) => (reference ? [updatedAtMs] : [])),
  );
  return latest === 0 ? "0001-01-01T00:00:00Z" : new Date(latest).toISOString();
}

const optionalFields = ["ExposedPorts", "Healthcheck", "ArgsEscaped", "StopSignal", "Shell"] as const;

/** Before API 1.50 the fields of a container's config that images never use are there too. */
function formatConfig(config: Json, version: string): object {
  const legacy = {
    Hostname: "",
    Domainname: "",
    AttachStdin: false,
    AttachStdout: false,
    AttachStderr: false,
    Tty: false,
    OpenStdin: false,
    StdinOnce: false,
    Image: "",
  };
  return {
    ...(compareVersions(version, "1.50") < 0 ? legacy : {}),
    User: config.User ?? "",
    ...Object.fromEntries(optionalFields.flatMap((name) => (config[name] ? [[name, config[name]]] : []))),
    Env: config.Env ?? null,
    Cmd: config.Cmd ?? null,
    Volumes: config.Volumes ?? null,
    WorkingDir: config.WorkingDir ?? "",
    Entrypoint: config.Entrypoint ?? null,
    OnBuild: config.OnBuild ?? null,
    Labels: config.Labels ?? null,
  };
}

/** GET /images/{name}/history: newest first; the last step carries the image's id and names. */
export function formatHistory(image: Image): object[] {
  const history = image.config.document.history;
  const steps = (Array.isArray(history) ? history : image.layers.map(() => ({}))) as readonly Json[];
  let layer = 0;
  const rows = steps.map((step) => {
    const bytes = step.empty_layer === true ? 0 : (image.layers[layer++]?.bytes ?? 0);
    return {
      Comment: textOf(step.comment),
      Created: Math.floor((Date.parse(textOf(step.created)) || 0) / 1000),
      CreatedBy: textOf(step.created_by),
      Id: "<missing>",
      Size: bytes,
      Tags: null as readonly string[] | null,
    };
  });
  const newest = rows.at(-1);
  if (newest) Object.assign(newest, { Id: image.id, Tags: orNull(repoTags(image)) });
  return rows.reverse();
}

const orNull = (list: readonly string[]): readonly string[] | null => (list.length === 0 ? null : list);
