/** The command's flags as the options of the Dockerfile frontend, which travel as a map of strings. */
import { HullError } from "../../platform/errors.ts";
import { parseLabels } from "../container-options/environment.ts";
import { extraHost } from "../container-options/networks.ts";
import { type FlagValues, parseBool, parseBytes } from "../flags.ts";

import { splitFields } from "./fields.ts";

export type Attributes = Readonly<Record<string, string>>;

/** `dockerfile`: its name in the directory "dockerfile". Throws invalid-argument. */
export function frontendAttributes(flags: FlagValues, dockerfile: string): Record<string, string> {
  const filter = flags.list("no-cache-filter").flatMap((names) => names.split(","));
  return {
    filename: dockerfile,
    ...given("target", flags.text("target")),
    ...given("platform", flags.list("platform").join(",")),
    ...given("add-hosts", flags.list("add-host").map(hostField).join(",")),
    ...given("force-network-mode", networkOf(flags)),
    ...given("shm-size", sizeOf(flags, "shm-size")),
    ...given("ulimit", flags.list("ulimit").join(",")),
    ...given("cgroup-parent", flags.text("cgroup-parent")),
    ...resourceLimits(flags),
    ...(filter.length > 0 && { "no-cache": filter.join(",") }),
    ...(flags.bool("no-cache") && { "no-cache": "" }),
    "image-resolve-mode": flags.bool("pull") ? "pull" : "local",
    ...prefixed("build-arg:", buildArguments(flags.list("build-arg"))),
    ...attestations(flags),
    ...prefixed("label:", parseLabels(flags.list("label"), [])),
  };
}

const given = (name: string, value: string | undefined): Attributes => (value ? { [name]: value } : {});

const prefixed = (prefix: string, values: Attributes): Attributes =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [`${prefix}${name}`, value]));

const hostField = (text: string): string => extraHost(text).replace(":", "=");

const sizeOf = (flags: FlagValues, name: string): string | undefined => {
  const text = flags.text(name);
  return text === undefined ? undefined : String(parseBytes(text));
};

function networkOf(flags: FlagValues): string | undefined {
  const mode = flags.text("network") ?? "default";
  if (mode === "default" || mode === "bridge") return undefined;
  if (mode === "host" || mode === "none") return mode;
  throw new HullError(
    "invalid-argument",
    `network mode ${JSON.stringify(mode)} not supported by buildkit: use default, host or none`,
  );
}

function resourceLimits(flags: FlagValues): Attributes {
  const text = (name: string) => flags.text(name);
  return {
    ...given("memory", sizeOf(flags, "memory")),
    ...given("memswap", sizeOf(flags, "memory-swap")),
    ...given("cpushares", text("cpu-shares")),
    ...given("cpuperiod", text("cpu-period")),
    ...given("cpuquota", text("cpu-quota")),
    ...given("cpusetcpus", text("cpuset-cpus")),
    ...given("cpusetmems", text("cpuset-mems")),
  };
}

/** --attest, --provenance and --sbom, which are shorthands of it; of a type the last counts. */
function attestations(flags: FlagValues): Attributes {
  const short = (type: string): string[] => {
    const value = flags.text(type);
    if (value === undefined) return [];
    const given = parseBool(value);
    return [given === undefined ? `type=${type},${value}` : `type=${type},disabled=${!given}`];
  };
  const specs = [...flags.list("attest"), ...short("provenance"), ...short("sbom")];
  return Object.fromEntries(
    specs.flatMap((spec) => {
      const fields = splitFields(spec).map((field) => (field.includes("=") ? field : `${field}=true`));
      const type = fields.find((field) => field.startsWith("type="))?.slice("type=".length);
      if (!type)
        throw new HullError(
          "invalid-argument",
          `attestation ${JSON.stringify(spec)} has no type: use type=provenance or type=sbom`,
        );
      const rest = fields.filter((field) => !field.startsWith("type=") && field !== "disabled=false");
      return [[`attest:${type}`, rest.join(",")]];
    }),
  );
}

/** A name without a value has the environment's; without one there it is not set. */
function buildArguments(specs: readonly string[]): Record<string, string> {
  const pairs = specs.map((spec): [string, string | undefined] => {
    const equals = spec.indexOf("=");
    return equals < 0 ? [spec, process.env[spec]] : [spec.slice(0, equals), spec.slice(equals + 1)];
  });
  return Object.fromEntries(pairs.filter((pair): pair is [string, string] => pair[1] !== undefined));
}

/** "network.host", ...: what the build may do. */
export function entitlementsOf(flags: FlagValues): string[] {
  const hosts = networkOf(flags) === "host" ? ["network.host"] : [];
  return [...new Set([...flags.list("allow"), ...hosts])];
}

const absent = ["annotation", "cache-to", "squash"];

/** Throws unimplemented for what would be left undone without a word; "false" asks for nothing. */
export function refuseAbsent(flags: FlagValues): void {
  const given = absent.find((name) => flags.list(name).some((value) => value !== "false"));
  if (given !== undefined) throw new HullError("unimplemented", `--${given} is not available yet: build without it`);
}
