/** An event as the API writes it, and the filters of GET /events. */
import { type Filters, parseFilters } from "../http/filters.ts";
import { compareVersions } from "../http/version.ts";
import type { EngineEvent } from "./api.ts";

/** One JSON object; `status`, `id` and `from` are for clients before API 1.52. */
export function formatEvent(event: EngineEvent, version: string): string {
  const legacy = compareVersions(version, "1.52") < 0 ? legacyFields(event) : {};
  const { type, action, id, attributes, timeNano } = event;
  const value = {
    ...legacy,
    Type: type,
    Action: action,
    Actor: { ID: id, Attributes: attributes },
    scope: "local",
    time: Number(timeNano / 1_000_000_000n),
  };
  // timeNano does not fit a double.
  return `${JSON.stringify(value).slice(0, -1)},"timeNano":${timeNano}}\n`;
}

function legacyFields({ type, action, id, attributes }: EngineEvent): Record<string, string> {
  if (type === "container") return { status: action, id, ...(attributes.image ? { from: attributes.image } : {}) };
  return type === "image" ? { status: action, id } : {};
}

const named = ["config", "container", "daemon", "network", "node", "plugin", "secret", "service", "volume"] as const;
const accepted = [...named, "event", "image", "label", "scope", "type"];

export const parseEventFilters = (json: string): Filters => parseFilters(json, accepted);

export function includesEvent(filters: Filters, event: EngineEvent): boolean {
  return (
    matchesAction(filters, event.action) &&
    filters.exact("type", event.type) &&
    filters.exact("scope", "local") &&
    filters.labels("label", event.attributes) &&
    matchesImage(filters, event) &&
    named.every((name) => filters.prefix(name, event.id) || filters.prefix(name, event.attributes.name ?? ""))
  );
}

/** exec_create and its like carry the command after a colon; they may be asked for without it. */
function matchesAction(filters: Filters, action: string): boolean {
  const open = filters.get("event").some((name) => ["health_status", "exec_create", "exec_start"].includes(name));
  return open ? filters.prefix("event", action) : filters.exact("event", action);
}

function matchesImage(filters: Filters, event: EngineEvent): boolean {
  const name = (event.type === "image" ? event.attributes.name : event.attributes.image) ?? "";
  const untagged = name.replace(/:[^:/]*$/, "");
  return [event.id, name, untagged].some((text) => filters.prefix("image", text));
}
