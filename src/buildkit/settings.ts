/** hull-buildkitd's command line, parsed into a value. */
import { parseArgs } from "node:util";
import { HullError, messageOf } from "../platform/errors.ts";
import { type LogLevel, logLevels } from "../platform/log.ts";

export interface BuilderSettings {
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly keel: string;
  readonly logLevel: LogLevel;
  readonly maxConcurrentBuilds: number;
  /** "network.host", "security.insecure": what builds may have when their clients allow it. */
  readonly entitlements: readonly string[];
  /** Bodies of builds that are received at once. */
  readonly maxConcurrentUploads: number;
  /** How long it stays without work. */
  readonly idleSeconds: number;
}

const DEFAULT_BUILDS = 8;
const DEFAULT_UPLOADS = 4;
const DEFAULT_IDLE_SECONDS = 600;

const text = { type: "string" } as const;
const flags = {
  "data-root": text,
  "exec-root": text,
  keel: text,
  "log-level": text,
  "max-concurrent-builds": text,
  "allow-insecure-entitlement": { type: "string", multiple: true },
  "max-concurrent-uploads": text,
  "idle-timeout": text,
} as const;

type Given = ReturnType<typeof given>;

function given(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: flags, strict: true, allowPositionals: false }).values;
  } catch (error) {
    throw new HullError("invalid-argument", `hull-buildkitd: ${messageOf(error)}`);
  }
}

/** Throws invalid-argument naming the flag. */
export function parseSettings(argv: readonly string[]): BuilderSettings {
  const values = given(argv);
  const level = values["log-level"] ?? "info";
  if (!logLevels.some((known) => known === level)) throw invalid("log-level", level);
  return {
    dataRoot: required(values, "data-root"),
    execRoot: required(values, "exec-root"),
    keel: required(values, "keel"),
    logLevel: level as LogLevel,
    entitlements: values["allow-insecure-entitlement"] ?? [],
    maxConcurrentBuilds: count(values, "max-concurrent-builds", DEFAULT_BUILDS),
    maxConcurrentUploads: count(values, "max-concurrent-uploads", DEFAULT_UPLOADS),
    idleSeconds: count(values, "idle-timeout", DEFAULT_IDLE_SECONDS),
  };
}

const invalid = (name: string, value: string): HullError =>
  new HullError("invalid-argument", `invalid argument "${value}" for "--${name}"`);

function required(values: Given, name: "data-root" | "exec-root" | "keel"): string {
  const value = values[name];
  if (!value) throw new HullError("invalid-argument", `hull-buildkitd: --${name} is missing`);
  return value;
}

/** What a running builder may take over: of a query. Throws invalid-argument. */
export function parseConfigured(query: URLSearchParams): Pick<BuilderSettings, "maxConcurrentBuilds" | "entitlements"> {
  const builds = query.get("builds") ?? "0";
  if (!/^\d{1,9}$/.test(builds)) throw invalid("builds", builds);
  const entitlements = (query.get("entitlements") ?? "").split(",").filter((name) => name !== "");
  return { maxConcurrentBuilds: Number(builds) || DEFAULT_BUILDS, entitlements };
}

/** 0 and nothing: the default. */
function count(
  values: Given,
  name: Exclude<keyof Given & string, "allow-insecure-entitlement">,
  otherwise: number,
): number {
  const value = values[name] ?? "0";
  if (!/^\d{1,9}$/.test(value)) throw invalid(name, value);
  return Number(value) || otherwise;
}
