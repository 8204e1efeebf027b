/** The query of `POST /build` as a value that cannot be wrong; what is wrong is refused in Docker's words. */
import { parseReference, type Reference, withDefaultTag } from "../../oci/reference.ts";
import { HullError, messageOf } from "../../platform/errors.ts";
import type { RunLimits } from "../graph/vertex.ts";

export interface ClassicOptions {
  /** What the client may cancel it by; "" without. */
  readonly buildId: string;
  /** With a tag, each once. */
  readonly tags: readonly Reference[];
  /** "": Dockerfile. */
  readonly dockerfile: string;
  readonly remote: string;
  readonly quiet: boolean;
  readonly noCache: boolean;
  readonly pull: boolean;
  /** False: steps' containers would stay; ours never do, but the lines about their removal are left out. */
  readonly removes: boolean;
  readonly buildArgs: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly cacheFrom: readonly string[];
  readonly target: string;
  /** "" is this machine's. */
  readonly platform: string;
  readonly network: "default" | "host" | "none";
  readonly extraHosts: readonly string[];
  readonly limits: RunLimits;
}

const bad = (message: string): HullError => new HullError("invalid-argument", message);

/** Throws invalid-argument, and unimplemented for what only BuildKit's protocol or another platform has. */
export function parseClassicQuery(text: string): ClassicOptions {
  const query = new URLSearchParams(text);
  refuse(query);
  const removes = !query.has("rm") || query.get("rm") === "" || bool(query, "rm") || bool(query, "forcerm");
  return {
    buildId: query.get("buildid") ?? "",
    tags: tagsOf(query.getAll("t")),
    dockerfile: query.get("dockerfile") ?? "",
    remote: query.get("remote") ?? "",
    quiet: bool(query, "q"),
    noCache: bool(query, "nocache"),
    pull: bool(query, "pull"),
    removes,
    buildArgs: stringMap(query, "buildargs", "build args"),
    labels: stringMap(query, "labels", "labels"),
    cacheFrom: strings(query, "cachefrom"),
    target: query.get("target") ?? "",
    platform: platformOf(query.get("platform") ?? ""),
    network: networkOf(query.get("networkmode") ?? ""),
    extraHosts: query.getAll("extrahosts").filter((host) => host !== ""),
    limits: limitsOf(query),
  };
}

function refuse(query: URLSearchParams): void {
  if (query.getAll("securityopt").some((option) => option !== ""))
    throw bad("The daemon on this platform does not support setting security options on build");
  const isolation = query.get("isolation") ?? "";
  if (isolation !== "" && isolation.toLowerCase() !== "default")
    throw bad(`unsupported isolation: ${JSON.stringify(isolation)}`);
  if (bool(query, "squash")) throw bad("squash is only supported with experimental mode");
  const version = query.get("version") ?? "";
  if (version === "2" || (query.get("outputs") ?? "") !== "")
    throw new HullError(
      "unimplemented",
      "building with BuildKit's session is not available yet: set DOCKER_BUILDKIT=0",
    );
  if (version !== "" && version !== "1") throw bad(`invalid version: ${version}`);
}

/** "", 0, no, false and none are false (in any case); everything else is true. */
const bool = (query: URLSearchParams, name: string): boolean =>
  !["", "0", "no", "false", "none"].includes((query.get(name) ?? "").trim().toLowerCase());

function tagsOf(names: readonly string[]): Reference[] {
  const references = names.filter((name) => name !== "").map((name) => parseReference(name));
  if (references.some(({ digest }) => digest !== undefined)) throw bad("build tag cannot contain a digest");
  const tagged = references.map(withDefaultTag);
  const key = ({ domain, path, tag }: Reference) => `${domain}/${path}:${tag}`;
  return tagged.filter((reference, i) => tagged.findIndex((other) => key(other) === key(reference)) === i);
}

/** Values that are null stand for variables that the client does not have: they are left out. */
function stringMap(query: URLSearchParams, name: string, what: string): Record<string, string> {
  const value = json(query.get(name), what);
  if (value === undefined || value === null) return {};
  if (typeof value !== "object" || Array.isArray(value)) throw bad(`error reading ${what}: a map is expected`);
  const entries = Object.entries(value as Record<string, unknown>).filter(([, given]) => given !== null);
  if (entries.some(([, given]) => typeof given !== "string"))
    throw bad(`error reading ${what}: values must be strings`);
  return Object.fromEntries(entries) as Record<string, string>;
}

function strings(query: URLSearchParams, name: string): string[] {
  const value = json(query.get(name), "cache-from");
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value) || value.some((item) => typeof item !== "string"))
    throw bad("error reading cache-from: a list of strings is expected");
  return value as string[];
}

function json(text: string | null, what: string): unknown {
  if (text === null || text === "") return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw bad(`error reading ${what}: ${messageOf(error)}`);
  }
}

function platformOf(text: string): string {
  if (text === "") return "";
  const parts = text.split("/");
  if (parts.length > 3 || parts.some((part) => !/^[A-Za-z0-9_.-]+$/.test(part)))
    throw bad(`${JSON.stringify(text)}: unknown operating system or architecture: invalid argument`);
  const lower = text.toLowerCase();
  return parts.length === 1 ? `linux/${lower}` : lower;
}

function networkOf(mode: string): ClassicOptions["network"] {
  if (mode === "" || mode === "default" || mode === "bridge") return "default";
  if (mode === "host" || mode === "none") return mode;
  throw bad(`network mode ${JSON.stringify(mode)} is not supported for builds: use default, host or none`);
}

/** 0 is none. */
function integer(query: URLSearchParams, name: string): number {
  const text = query.get(name) ?? "";
  return /^[+-]?\d{1,18}$/.test(text) ? Number(text) : 0;
}

function limitsOf(query: URLSearchParams): RunLimits {
  const shm = query.get("shmsize") ?? "";
  if (shm !== "" && !/^[+-]?\d{1,18}$/.test(shm))
    throw bad(`strconv.ParseInt: parsing ${JSON.stringify(shm)}: invalid syntax`);
  return {
    shmBytes: Number(shm || 0),
    memoryBytes: integer(query, "memory"),
    memorySwapBytes: integer(query, "memswap"),
    cpuShares: integer(query, "cpushares"),
    cpuPeriodUs: integer(query, "cpuperiod"),
    cpuQuotaUs: integer(query, "cpuquota"),
    cpusetCpus: query.get("cpusetcpus") ?? "",
    cpusetMems: query.get("cpusetmems") ?? "",
    cgroupParent: query.get("cgroupparent") ?? "",
    ulimits: ulimitsOf(query),
  };
}

interface Ulimit {
  readonly Name?: unknown;
  readonly Soft?: unknown;
  readonly Hard?: unknown;
}

function ulimitsOf(query: URLSearchParams): string[] {
  const value = json(query.get("ulimits"), "ulimit settings");
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw bad("error reading ulimit settings: a list is expected");
  return (value as Ulimit[]).map(({ Name, Soft, Hard }) => {
    if (typeof Name !== "string" || !Number.isInteger(Soft) || !Number.isInteger(Hard))
      throw bad("error reading ulimit settings: Name, Soft and Hard are expected");
    return `${Name}=${String(Soft)}:${String(Hard)}`;
  });
}
