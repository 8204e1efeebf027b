/** Values of settings: read from a flag's text or from daemon.json's JSON into the same form. Errors in dockerd's words. */
import { HullError } from "../platform/errors.ts";
import {
  type AddressPool,
  defaultEntitlements,
  type Entitlement,
  entitlements,
  type RuntimeSetting,
  type Ulimit,
} from "./config.ts";
import type { Setting, SettingKind } from "./config-keys.ts";

/** A setting's value by its kind. */
export interface ValueOf {
  bool: boolean;
  text: string;
  int: number;
  bytes: number;
  list: readonly string[];
  map: Readonly<Record<string, string>>;
  ulimits: readonly Ulimit[];
  pools: readonly AddressPool[];
  runtimes: Readonly<Record<string, RuntimeSetting>>;
  entitlements: readonly Entitlement[];
}
export type Value = ValueOf[SettingKind];

const bad = (message: string): HullError => new HullError("invalid-argument", message);

/** Adds what one occurrence of a flag says to what earlier ones said. */
export function fromFlag(entry: Setting, text: string, earlier: Value | undefined): Value {
  const invalid = (why: string) => bad(`invalid argument "${text}" for "--${entry.flag}" flag: ${why}`);
  switch (entry.kind) {
    case "bool":
      return parseBool(text, invalid);
    case "text":
      return text;
    case "int":
      if (!/^-?\d{1,15}$/.test(text)) throw invalid(`strconv.ParseInt: parsing "${text}": invalid syntax`);
      return Number(text);
    case "bytes":
      return parseBytes(text, invalid);
    case "list":
      return [...((earlier as string[] | undefined) ?? []), text];
    case "map":
      return { ...((earlier as Record<string, string> | undefined) ?? {}), ...pair(text, invalid) };
    case "ulimits":
      return [...((earlier as Ulimit[] | undefined) ?? []), parseUlimit(text, invalid)];
    case "pools":
      return [...((earlier as AddressPool[] | undefined) ?? []), parsePool(text, invalid)];
    case "runtimes":
      return { ...(earlier as object | undefined), ...parseRuntime(text, invalid) };
    case "entitlements":
      return [...((earlier as Entitlement[] | undefined) ?? []), parseEntitlement(text, invalid)];
  }
}

function parseEntitlement(text: string, invalid: Invalid): Entitlement {
  const found = entitlements.find((known) => known === text);
  if (!found) throw invalid(`want ${entitlements.join(" or ")}`);
  return found;
}

type Invalid = (why: string) => HullError;

function parseBool(text: string, invalid: Invalid): boolean {
  if (["1", "t", "T", "true", "TRUE", "True"].includes(text)) return true;
  if (["0", "f", "F", "false", "FALSE", "False"].includes(text)) return false;
  throw invalid(`strconv.ParseBool: parsing "${text}": invalid syntax`);
}

const units: Readonly<Record<string, number>> = { "": 1, b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };

function parseBytes(text: string, invalid: Invalid): number {
  const match = /^(\d+(?:\.\d+)?) ?([bkmgt]?)(?:i?b)?$/i.exec(text);
  if (!match) throw invalid(`invalid size: '${text}'`);
  return Math.floor(Number(match[1]) * units[match[2]!.toLowerCase()]!);
}

function pair(text: string, invalid: Invalid): Record<string, string> {
  const equals = text.indexOf("=");
  if (equals < 1) throw invalid("expected key=value");
  return { [text.slice(0, equals)]: text.slice(equals + 1) };
}

const limits = new Set(
  "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split(" "),
);

function parseUlimit(text: string, invalid: Invalid): Ulimit {
  const match = /^([a-z]+)=(-?\d+)(?::(-?\d+))?$/.exec(text);
  if (!match) throw invalid(`invalid ulimit argument: ${text}`);
  const [, name, soft, hard] = match;
  return checkUlimit({ name: name!, soft: Number(soft), hard: Number(hard ?? soft) }, invalid);
}

function checkUlimit(limit: Ulimit, invalid: Invalid): Ulimit {
  if (!limits.has(limit.name)) throw invalid(`invalid ulimit type: ${limit.name}`);
  if (limit.hard !== -1 && (limit.soft > limit.hard || limit.soft === -1)) {
    throw invalid(`ulimit soft limit must be less than or equal to hard limit: ${limit.soft} > ${limit.hard}`);
  }
  return limit;
}

function parsePool(text: string, invalid: Invalid): AddressPool {
  const fields = Object.assign({}, ...text.split(",").map((part) => pair(part, invalid))) as Record<string, string>;
  return checkPool({ base: fields.base ?? "", size: Number(fields.size) }, invalid);
}

function checkPool(pool: AddressPool, invalid: Invalid): AddressPool {
  if (!/^[0-9a-fA-F.:]+\/\d{1,3}$/.test(pool.base)) throw invalid(`invalid base pool "${pool.base}": want a CIDR`);
  const prefix = Number(pool.base.slice(pool.base.indexOf("/") + 1));
  if (!Number.isInteger(pool.size) || pool.size < prefix || pool.size > 128) {
    throw invalid(`invalid pools size: ${pool.size} for ${pool.base}`);
  }
  return pool;
}

function parseRuntime(text: string, invalid: Invalid): Record<string, RuntimeSetting> {
  const [[name, path]] = Object.entries(pair(text, invalid)) as [[string, string]];
  return { [name.trim()]: checkRuntime(name.trim(), { path: path.trim(), args: [] }, invalid) };
}

function checkRuntime(name: string, runtime: RuntimeSetting, invalid: Invalid): RuntimeSetting {
  if (name === "runc" || name === "hull-runc") throw invalid(`runtime name '${name}' is reserved`);
  if (runtime.path === "") throw invalid(`runtime ${name}: path is missing`);
  return runtime;
}

/** The value of a key of daemon.json. */
export function fromJson(entry: Setting, json: unknown): Value {
  const invalid = (why: string) => bad(`invalid value of "${entry.key}": ${why}`);
  const wrong = (want: string) => invalid(`want ${want}, found ${JSON.stringify(json)}`);
  switch (entry.kind) {
    case "bool":
      if (typeof json !== "boolean") throw wrong("true or false");
      return json;
    case "text":
      if (typeof json !== "string") throw wrong("a string");
      return json;
    case "int":
      if (!Number.isSafeInteger(json)) throw wrong("an integer");
      return json as number;
    case "bytes":
      if (typeof json === "number") return json;
      if (typeof json !== "string") throw wrong('a size such as "64M"');
      return parseBytes(json, invalid);
    case "list":
      if (!Array.isArray(json) || !json.every((item) => typeof item === "string")) throw wrong("a list of strings");
      return json;
    case "map":
      if (!isObject(json) || !Object.values(json).every((item) => typeof item === "string"))
        throw wrong("a map of strings");
      return json as Record<string, string>;
    case "ulimits":
      return ulimitsOf(json, invalid);
    case "pools":
      return poolsOf(json, invalid);
    case "runtimes":
      return runtimesOf(json, invalid);
    case "entitlements":
      return entitlementsOf(json, invalid);
  }
}

/** dockerd's "builder": what is not said stays as it is without the key. Its "gc" is not there. */
function entitlementsOf(json: unknown, invalid: Invalid): Entitlement[] {
  const { entitlements: given = {}, ...others } = isObject(json) ? json : { others: json };
  const unknown = Object.keys(others);
  if (unknown.length > 0) throw invalid(`${unknown.join(", ")} is not supported: only "entitlements" is`);
  if (!isObject(given)) throw invalid("entitlements: want {network-host, security-insecure}");
  const names: Readonly<Record<string, Entitlement>> = {
    "network-host": "network.host",
    "security-insecure": "security.insecure",
  };
  for (const [name, value] of Object.entries(given))
    if (names[name] === undefined || typeof value !== "boolean")
      throw invalid(`entitlements: want true or false for network-host and security-insecure, found ${name}`);
  return Object.entries(names).flatMap(([name, entitlement]) =>
    (given[name] ?? defaultEntitlements.includes(entitlement)) ? [entitlement] : [],
  );
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function ulimitsOf(json: unknown, invalid: Invalid): Ulimit[] {
  if (!isObject(json)) throw invalid("want a map of names to {Name, Soft, Hard}");
  return Object.entries(json).map(([name, limit]) => {
    if (!isObject(limit)) throw invalid(`${name}: want {Name, Soft, Hard}`);
    return checkUlimit({ name, soft: Number(limit.Soft ?? 0), hard: Number(limit.Hard ?? limit.Soft ?? 0) }, invalid);
  });
}

function poolsOf(json: unknown, invalid: Invalid): AddressPool[] {
  if (!Array.isArray(json)) throw invalid("want a list of {base, size}");
  return json.map((pool: unknown) => {
    if (!isObject(pool)) throw invalid("want a list of {base, size}");
    return checkPool({ base: String(pool.base ?? ""), size: Number(pool.size) }, invalid);
  });
}

function runtimesOf(json: unknown, invalid: Invalid): Record<string, RuntimeSetting> {
  if (!isObject(json)) throw invalid("want a map of names to {path, runtimeArgs}");
  const entries = Object.entries(json).map(([name, runtime]) => {
    if (!isObject(runtime)) throw invalid(`${name}: want {path, runtimeArgs}`);
    const args = Array.isArray(runtime.runtimeArgs) ? runtime.runtimeArgs.map(String) : [];
    return [name, checkRuntime(name, { path: String(runtime.path ?? ""), args }, invalid)] as const;
  });
  return Object.fromEntries(entries);
}
