/** The options of the Dockerfile frontend, which travel as a map of strings, as values that cannot be wrong. */
import { HullError } from "../../platform/errors.ts";
import type { RunLimits } from "../graph/vertex.ts";

export interface FrontendOptions {
  /** In the client's directory "dockerfile". */
  readonly fileName: string;
  readonly target: string;
  readonly platforms: readonly string[];
  readonly multiPlatform: boolean;
  readonly buildArgs: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly noCache: boolean;
  readonly noCacheFilter: readonly string[];
  readonly pull: boolean;
  readonly network: "default" | "host" | "none";
  readonly extraHosts: readonly string[];
  readonly limits: RunLimits;
  readonly hostname: string;
  /** By name; "local:NAME" is a directory of the client. */
  readonly namedContexts: Readonly<Record<string, string>>;
  /** "": the client's directory "context". */
  readonly contextUrl: string;
  /** The Dockerfile is in the client's directory of this name, wherever the context is; "": where the context is. */
  readonly dockerfileDirectory: string;
  /** By directory: what tells it from directories of the same name. */
  readonly sharedKeys: Readonly<Record<string, string>>;
  /** By directory: the session that has it. */
  readonly sessions: Readonly<Record<string, string>>;
  /** "frontend.lint", ...; "" for a build. */
  readonly request: string;
}

type Attributes = Readonly<Record<string, string>>;

/** Attributes of a prefix, without it. */
const below = (attributes: Attributes, prefix: string): Record<string, string> =>
  Object.fromEntries(
    Object.entries(attributes)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, value]) => [name.slice(prefix.length), value]),
  );

const list = (text: string | undefined): string[] => (text ?? "").split(",").filter((item) => item !== "");

/** Throws invalid-argument. */
export function parseFrontendAttributes(attributes: Attributes): FrontendOptions {
  const noCache = attributes["no-cache"];
  const filter = list(noCache);
  return {
    fileName: attributes.filename || "Dockerfile",
    target: attributes.target ?? "",
    platforms: list(attributes.platform),
    multiPlatform: list(attributes.platform).length > 1 || attributes["multi-platform"] === "true",
    buildArgs: below(attributes, "build-arg:"),
    labels: below(attributes, "label:"),
    noCache: noCache === "",
    noCacheFilter: filter,
    pull: attributes["image-resolve-mode"] === "pull",
    network: networkOf(attributes["force-network-mode"] ?? ""),
    extraHosts: list(attributes["add-hosts"]).map((entry) => entry.replace("=", ":")),
    limits: limitsOf(attributes),
    hostname: attributes.hostname ?? "",
    namedContexts: below(attributes, "context:"),
    contextUrl: attributes.context ?? "",
    dockerfileDirectory: attributes.dockerfilekey ?? "",
    sharedKeys: below(attributes, "sharedkey:localdir:"),
    sessions: below(attributes, "local-sessionid:"),
    request: attributes.requestid ?? "",
  };
}

function networkOf(mode: string): FrontendOptions["network"] {
  if (mode === "" || mode === "sandbox" || mode === "default") return "default";
  if (mode === "host" || mode === "none") return mode;
  throw new HullError("invalid-argument", `invalid network mode ${JSON.stringify(mode)}: use default, host or none`);
}

function integer(attributes: Attributes, name: string): number {
  const text = attributes[name] ?? "";
  if (text === "") return 0;
  if (!/^-?\d{1,15}$/.test(text))
    throw new HullError("invalid-argument", `${name} must be a whole number, not ${JSON.stringify(text)}`);
  return Number(text);
}

function limitsOf(attributes: Attributes): RunLimits {
  return {
    shmBytes: integer(attributes, "shm-size"),
    memoryBytes: integer(attributes, "memory"),
    memorySwapBytes: integer(attributes, "memswap"),
    cpuShares: integer(attributes, "cpushares"),
    cpuPeriodUs: integer(attributes, "cpuperiod"),
    cpuQuotaUs: integer(attributes, "cpuquota"),
    cpusetCpus: attributes.cpusetcpus ?? "",
    cpusetMems: attributes.cpusetmems ?? "",
    cgroupParent: attributes["cgroup-parent"] ?? "",
    ulimits: list(attributes.ulimit),
  };
}
