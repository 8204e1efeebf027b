/** The filters of GET /containers/json. Pure. */
import { HullError } from "../../../platform/errors.ts";
import type { Filters } from "../../http/filters.ts";
import { attachments, type ContainerRecord } from "../record.ts";

export const listFilterNames = [
  "ancestor",
  "before",
  "exited",
  "expose",
  "health",
  "id",
  "isolation",
  "is-task",
  "label",
  "name",
  "network",
  "publish",
  "since",
  "status",
  "volume",
] as const;

const statuses = ["created", "restarting", "running", "removing", "paused", "exited", "dead"];
const healths = ["none", "starting", "healthy", "unhealthy"];

export interface FilterFacts {
  /** Throws not-found. */
  readonly lookUp: (reference: string) => ContainerRecord;
  /** Ids of an image and of those made from it, by reference; empty when unknown. */
  readonly imagesOf: (reference: string) => readonly string[];
}

type Keep = (record: ContainerRecord) => boolean;

const wrong = (name: string, value: string): HullError =>
  new HullError("invalid-argument", `invalid filter '${name}=${value}'`);

/** True filters decide about stopped containers themselves: docker ps -f status=exited needs no -a. */
export const showsStopped = (filters: Filters): boolean => filters.has("status") || filters.has("exited");

/** Throws invalid-argument for impossible values, not-found for unknown references. */
export function selector(filters: Filters, facts: FilterFacts): Keep {
  const codes = filters.get("exited").map((value) => {
    if (!/^-?\d{1,3}$/.test(value)) throw wrong("exited", value);
    return Number(value);
  });
  for (const value of filters.get("status")) if (!statuses.includes(value)) throw wrong("status", value);
  for (const value of filters.get("health")) if (!healths.includes(value)) throw wrong("health", value);
  const bounds = (["before", "since"] as const).map((name) =>
    filters.get(name).map((reference) => facts.lookUp(reference).created),
  );
  const images = filters.get("ancestor").flatMap((reference) => facts.imagesOf(reference));
  const ports = { publish: filters.get("publish").flatMap(portKeys), expose: filters.get("expose").flatMap(portKeys) };
  const checks: Keep[] = [
    ({ state }) => filters.exact("status", state.kind),
    ({ state }) => codes.length === 0 || (state.kind === "exited" && codes.includes(state.exitCode)),
    ({ health }) => filters.exact("health", health?.status ?? "none"),
    ({ id }) => filters.prefix("id", id),
    ({ name }) => filters.match("name", `/${name}`) || filters.match("name", name),
    ({ config }) => filters.labels("label", config.Labels),
    (record) =>
      !filters.has("network") ||
      Object.entries(attachments(record)).some(([name, { NetworkID }]) =>
        filters.get("network").some((wanted) => wanted === name || (NetworkID !== "" && NetworkID.startsWith(wanted))),
      ),
    (record) =>
      !filters.has("volume") ||
      record.mounts.some((mount) =>
        filters
          .get("volume")
          .some((wanted) => wanted === mount.Name || wanted === mount.Destination || wanted === mount.Source),
      ),
    ({ imageId }) => !filters.has("ancestor") || images.includes(imageId),
    ({ created }) => bounds[0]!.every((time) => created < time) && bounds[1]!.every((time) => created > time),
    ({ sandbox }) => ports.publish.length === 0 || ports.publish.some((key) => (sandbox.ports[key]?.length ?? 0) > 0),
    ({ config }) => ports.expose.length === 0 || ports.expose.some((key) => config.ExposedPorts?.[key] !== undefined),
    () => filters.bool("is-task") !== true,
  ];
  return (record) => checks.every((check) => check(record));
}

/** "80", "80/tcp", "8000-8010/udp" -> keys of a port map. */
function portKeys(text: string): string[] {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/.exec(text);
  if (!match) throw new HullError("invalid-argument", `invalid filter: invalid port: ${text}`);
  const first = Number(match[1]);
  const last = Number(match[2] ?? match[1]);
  return Array.from(
    { length: Math.max(0, Math.min(last, 65535) - first + 1) },
    (_, i) => `${first + i}/${match[3] ?? "tcp"}`,
  );
}
