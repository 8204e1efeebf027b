/** RUN as an OCI specification: what Docker's builder gives a build container. Pure. */
import { allCapabilities } from "../../oci/capabilities.ts";
import { defaultSeccomp } from "../../oci/default-seccomp.ts";
import {
  defaultCapabilities,
  defaultDeviceRules,
  defaultMaskedPaths,
  defaultMounts,
  defaultPath,
  defaultReadonlyPaths,
} from "../../oci/default-spec.ts";
import { parseRuntimeSpec, type RuntimeSpec, type SpecSeccomp } from "../../oci/runtime-spec.ts";
import { HullError } from "../../platform/errors.ts";
import type { RunLimits, RunVertex } from "../graph/vertex.ts";

export interface SpecRequest {
  readonly vertex: RunVertex;
  readonly hostname: string;
  /** Variables of mounts (secrets, SSH_AUTH_SOCK). */
  readonly env: readonly string[];
  readonly rootPath: string;
  readonly cgroupsPath: string;
  /** Where hosts, hostname and resolv.conf are. */
  readonly filesDirectory: string;
  /** Of the network namespace: to be joined, a new one, the machine's. */
  readonly network:
    | { readonly kind: "join"; readonly path: string }
    | { readonly kind: "new" }
    | { readonly kind: "host" };
  /** Has a cgroup namespace of its own, as on v2 hosts. */
  readonly ownCgroupNamespace: boolean;
  /** Go's name. */
  readonly arch: string;
}

/** Throws invalid-argument for limits that can't be. */
export function runSpec(request: SpecRequest): RuntimeSpec {
  const { vertex } = request;
  const insecure = vertex.security === "insecure";
  const names = insecure ? allCapabilities : defaultCapabilities;
  const spec = parseRuntimeSpec(
    JSON.stringify({
      ociVersion: "1.2.0",
      process: processOf(request, names),
      root: { path: request.rootPath },
      hostname: request.hostname,
      mounts: [...kernelMounts(vertex.limits, insecure), ...engineFiles(request.filesDirectory)],
      linux: linuxOf(request, insecure),
    }),
    `RUN ${vertex.argv.join(" ")}`,
  );
  return insecure ? spec : { ...spec, linux: { ...spec.linux, seccomp: seccompOf(request.arch) } };
}

function processOf({ vertex, env, hostname }: SpecRequest, capabilities: readonly string[]): object {
  const { argv, workingDirectory, user, limits } = vertex;
  const isRoot = user === "" || /^(root|0)(:|$)/.test(user);
  return {
    user: { username: user },
    args: argv,
    env: environmentOf([`HOSTNAME=${hostname}`, ...vertex.env, ...vertex.uncachedEnv, ...env]),
    cwd: workingDirectory || "/",
    capabilities: isRoot
      ? { bounding: capabilities, effective: capabilities, permitted: capabilities }
      : { bounding: capabilities },
    rlimits: limits.ulimits.map(rlimitOf),
    oomScoreAdj: 0,
  };
}

/** The last of a name counts, in the place of the first; HOME comes from the user where it is missing. */
export function environmentOf(variables: readonly string[]): string[] {
  const merged = new Map([["PATH", defaultPath]]);
  for (const variable of variables) merged.set(variable.split("=", 1)[0]!, variable);
  return [...merged.values()];
}

const UNLIMITED = 2 ** 64;

function rlimitOf(text: string): object {
  const [, name, soft, hard = soft] = /^([a-z]+)=(-?\d+)(?::(-?\d+))?$/.exec(text) ?? [];
  if (name === undefined) throw new HullError("invalid-argument", `invalid ulimit argument: ${text}`);
  const value = (limit: string | undefined): number => (Number(limit) < 0 ? UNLIMITED : Number(limit));
  return { type: `RLIMIT_${name.toUpperCase()}`, soft: value(soft), hard: value(hard) };
}

interface Mount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

function kernelMounts({ shmBytes }: RunLimits, insecure: boolean): Mount[] {
  const writable = (options: readonly string[]): string[] => options.map((option) => (option === "ro" ? "rw" : option));
  return defaultMounts.map((mount) => {
    const options = insecure ? writable(mount.options) : mount.options;
    const sized = mount.destination === "/dev/shm" && shmBytes > 0 ? [...options, `size=${shmBytes}`] : options;
    return { ...mount, options: sized };
  });
}

export const ENGINE_FILES = ["resolv.conf", "hostname", "hosts"] as const;

const engineFiles = (directory: string): Mount[] =>
  ENGINE_FILES.map((name) => ({
    destination: `/etc/${name}`,
    type: "bind",
    source: `${directory}/${name}`,
    options: ["rbind", "rprivate", "rw"],
  }));

function linuxOf({ vertex, cgroupsPath, network, ownCgroupNamespace }: SpecRequest, insecure: boolean): object {
  const namespaces = [
    { type: "mount" },
    ...(network.kind === "host" ? [] : [{ type: "network", ...(network.kind === "join" && { path: network.path }) }]),
    { type: "uts" },
    { type: "pid" },
    { type: "ipc" },
    ...(ownCgroupNamespace ? [{ type: "cgroup" }] : []),
  ];
  return {
    namespaces,
    cgroupsPath,
    resources: { devices: deviceRules(insecure), ...resourcesOf(vertex.limits) },
    ...(insecure && { devices: loopDevices }),
    ...(network.kind !== "host" && !insecure && { sysctl: openPorts }),
    maskedPaths: insecure ? [] : defaultMaskedPaths,
    readonlyPaths: insecure ? [] : defaultReadonlyPaths,
  };
}

/** As in every container of Docker: low ports and ping without privileges, in a network namespace of its own. */
const openPorts = { "net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647" };

const deviceRules = (insecure: boolean): readonly object[] =>
  insecure ? [{ allow: true, access: "rwm" }] : [{ allow: false, access: "rwm" }, ...defaultDeviceRules];

const LOOP_MAJOR = 7;
const LOOPS = 8;

/** What --security=insecure is mostly used for: images are mounted. */
const loopDevices: readonly object[] = [
  { path: "/dev/loop-control", type: "c", major: 10, minor: 237, fileMode: 0o660 },
  ...Array.from({ length: LOOPS }, (_, minor) => ({
    path: `/dev/loop${minor}`,
    type: "b",
    major: LOOP_MAJOR,
    minor,
    fileMode: 0o660,
  })),
];

function resourcesOf(limits: RunLimits): object {
  const { memoryBytes, memorySwapBytes, cpuShares, cpuPeriodUs, cpuQuotaUs, cpusetCpus, cpusetMems } = limits;
  return {
    cpu: {
      ...(cpuShares > 0 && { shares: cpuShares }),
      ...(cpuQuotaUs !== 0 && { quota: cpuQuotaUs }),
      ...(cpuPeriodUs > 0 && { period: cpuPeriodUs }),
      ...(cpusetCpus !== "" && { cpus: cpusetCpus }),
      ...(cpusetMems !== "" && { mems: cpusetMems }),
    },
    memory: {
      ...(memoryBytes > 0 && { limit: memoryBytes }),
      ...(memoryBytes > 0 && memorySwapBytes !== 0 && { swap: memorySwapBytes }),
    },
  };
}

const policies = new Map<string, SpecSeccomp>();

/** One object for all commands: its program is compiled once. */
function seccompOf(arch: string): SpecSeccomp {
  const known = policies.get(arch) ?? defaultSeccomp(defaultCapabilities, arch);
  policies.set(arch, known);
  return known;
}
