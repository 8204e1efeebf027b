/**
 * Go values as the API sends them, and how Go prints them. JSON does not say which objects were Go maps and which were
 * structs, but their print differs (`map[a:b]` and `{b}`), so the names of the map-valued fields are listed here.
 */

/** Anything that JSON can hold, or a lazily computed row of a list command (`ps`, `images`, ...). */
export type Value =
  | null
  | undefined
  | boolean
  | number
  | bigint
  | string
  | Value[]
  | { readonly [key: string]: Value }
  | Row;

/** A row of a list command: fields are methods, some with arguments (`.Label "key"`). */
export interface Row {
  readonly isRow: true;
  get(name: string, args: readonly Value[]): Value;
  names(): readonly string[];
}

export const isRow = (value: Value): value is Row => typeof value === "object" && value !== null && "isRow" in value;

const mapFields = new Set(
  (
    "Labels Ports PortBindings Networks ExposedPorts Volumes Options DriverOpts StorageOpt Sysctls Tmpfs Annotations Data " +
    "Containers AuxiliaryAddresses AuxAddress Runtimes IndexConfigs Details Attributes UsageData Status LogOpts"
  ).split(" "),
);

/** Config of a LogConfig is a map too; a container's Config is a struct: told apart by the keys beside it. */
const isMapField = (parent: Value, name: string): boolean =>
  mapFields.has(name) || (name === "Config" && isPlainObject(parent) && "Type" in parent);

const goMaps = new WeakSet<object>();

export const isPlainObject = (value: Value): value is { readonly [key: string]: Value } =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !isRow(value);

/** Marks an object as a Go map, for rows that are computed here. */
export function asGoMap<T extends object>(map: T): T {
  goMaps.add(map);
  return map;
}

/** Fields of a container's HostConfig that the engine leaves out when they are empty. */
const omittedInHostConfig = new Set("Annotations Init Mounts StorageOpt Sysctls Tmpfs".split(" "));

/** The field of a struct or map; undefined when there is none. Remembers whether what it returns is a Go map. */
export function fieldOf(value: Value, name: string): Value {
  if (isRow(value)) return value.get(name, []);
  if (!isPlainObject(value)) return undefined;
  if (!Object.hasOwn(value, name)) return omittedInHostConfig.has(name) && "NetworkMode" in value ? null : undefined;
  const found = value[name];
  if (isPlainObject(found) && isMapField(value, name)) goMaps.add(found);
  return found;
}

/** Fields that are pointers in Go. */
const pointerFields = new Set(
  "MemorySwappiness OomKillDisable PidsLimit Init Healthcheck Health StopTimeout IPAMConfig UsageData ExitCode Platform".split(
    " ",
  ),
);

/** How Go prints the nil of a field: JSON does not say whether it is a list's, a map's or a pointer's. */
export function formatNil(field: string): string {
  if (pointerFields.has(field)) return "<nil>";
  return mapFields.has(field) ? "map[]" : "[]";
}

/** As fmt.Print shows it. */
export function formatGo(value: Value): string {
  if (value === undefined) return "<no value>";
  if (value === null) return "<nil>";
  if (typeof value === "number") return formatNumber(value);
  if (typeof value !== "object") return String(value);
  if (Array.isArray(value)) return `[${value.map(formatGo).join(" ")}]`;
  if (isRow(value))
    return `{${value
      .names()
      .map((name) => formatGo(value.get(name, [])))
      .join(" ")}}`;
  const keys = Object.keys(value);
  if (goMaps.has(value)) {
    return `map[${keys
      .sort()
      .map((key) => `${key}:${formatGo(value[key])}`)
      .join(" ")}]`;
  }
  return `{${keys.map((key) => formatGo(fieldOf(value, key))).join(" ")}}`;
}

function formatNumber(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e21) return String(value);
  return String(value).replace(/e([+-])(\d)$/, "e$10$2");
}

/** Go's truth: false, 0, nil, "", and empty arrays and maps are false; a struct is always true. */
export function isTrue(value: Value): boolean {
  if (value === undefined || value === null || value === false || value === 0 || value === "") return false;
  if (Array.isArray(value)) return value.length > 0;
  if (isPlainObject(value) && goMaps.has(value)) return Object.keys(value).length > 0;
  return true;
}

/** Of rows docker makes JSON twice, and the first time with Go's default. */
const escapeHtml = (json: string): string =>
  json.replace(/[<>&]/g, (letter) => `\\u00${letter.charCodeAt(0).toString(16)}`);

/** encoding/json with Docker's setting (no HTML escaping). */
export function toJson(value: Value): string {
  if (value === undefined) return "null";
  if (isRow(value)) {
    return `{${value
      .names()
      .map((name) => `${JSON.stringify(name)}:${escapeHtml(toJson(value.get(name, [])))}`)
      .join(",")}}`;
  }
  return JSON.stringify(value, (_, item: unknown) => (typeof item === "bigint" ? Number(item) : item));
}
