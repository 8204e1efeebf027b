/** Flags of `run` and `create` -> the body of POST /containers/create. Pure but for the files that flags name. */
import { HullError, messageOf } from "../../platform/errors.ts";
import { type FlagValues, parseBytes, parseDurationNs } from "../flags.ts";
import { pairsOf } from "./csv.ts";
import { parseEnvironment, parseLabels, readText } from "./environment.ts";
import { parseMount, parseTmpfs, parseVolumes } from "./mounts.ts";
import { extraHost, parseNetworks } from "./networks.ts";
import { parseExposed, parsePublished } from "./ports.ts";
import {
  parseCpus,
  parseDevice,
  parseGpus,
  parseRestart,
  parseThrottle,
  parseUlimit,
  parseWeightDevice,
} from "./resources.ts";

export interface CreateBody {
  readonly Image: string;
  readonly Tty: boolean;
  readonly OpenStdin: boolean;
  readonly AttachStdin: boolean;
  readonly AttachStdout: boolean;
  readonly AttachStderr: boolean;
  readonly HostConfig: { readonly AutoRemove: boolean; readonly RestartPolicy: { readonly Name: string } };
  readonly [field: string]: unknown;
}

export interface CreateRequest {
  readonly body: CreateBody;
  readonly name: string | undefined;
  readonly platform: string | undefined;
}

/** Throws invalid-argument in docker's words. `attach` is decided by the command (run: all unless -d). */
export function createRequest(flags: FlagValues, operands: readonly string[], detached: boolean): CreateRequest {
  const [image = "", ...command] = operands;
  const attach = attachedStreams(flags, detached);
  const published = parsePublished(flags.list("publish"));
  const exposed = [...published.exposed, ...parseExposed(flags.list("expose"))];
  const { binds, volumes } = parseVolumes(flags.list("volume"));
  const network = parseNetworks(flags);
  const entrypoint = flags.text("entrypoint");
  const body = {
    Hostname: flags.text("hostname") ?? "",
    Domainname: flags.text("domainname") ?? "",
    User: flags.text("user") ?? "",
    ...attach,
    ExposedPorts: recordOf(exposed),
    Tty: flags.bool("tty"),
    OpenStdin: flags.bool("interactive"),
    StdinOnce: flags.bool("interactive") && attach.AttachStdin,
    Env: parseEnvironment(flags.list("env"), flags.list("env-file")),
    Cmd: command.length > 0 ? command : null,
    Image: image,
    Volumes: volumes,
    WorkingDir: flags.text("workdir") ?? "",
    Entrypoint: entrypoint === undefined ? null : entrypoint === "" ? [""] : [entrypoint],
    Labels: parseLabels(flags.list("label"), flags.list("label-file")),
    ...optional("StopSignal", flags.text("stop-signal")),
    ...optional("StopTimeout", flags.number("stop-timeout")),
    ...optional("Healthcheck", healthcheck(flags)),
    HostConfig: {
      ...hostConfig(flags),
      Binds: nullIfEmpty(binds),
      PortBindings: published.bindings,
      NetworkMode: network.mode,
    },
    NetworkingConfig: { EndpointsConfig: network.endpoints },
  };
  if (body.HostConfig.AutoRemove && !["", "no"].includes(body.HostConfig.RestartPolicy.Name)) {
    throw new HullError("invalid-argument", "conflicting options: cannot specify both --restart and --rm");
  }
  return { body, name: flags.text("name"), platform: flags.text("platform") };
}

function attachedStreams(flags: FlagValues, detached: boolean) {
  const wanted = flags.list("attach").map((name) => name.toLowerCase());
  if (detached && wanted.length > 0) throw new HullError("invalid-argument", "Conflicting options: -a and -d");
  const has = (name: string, standard: boolean) => !detached && (wanted.length > 0 ? wanted.includes(name) : standard);
  return {
    AttachStdin: has("stdin", flags.bool("interactive")),
    AttachStdout: has("stdout", true),
    AttachStderr: has("stderr", true),
  };
}

const recordOf = (names: readonly string[]): Record<string, object> =>
  Object.fromEntries(names.map((name) => [name, {}]));

const optional = <T>(name: string, value: T | undefined): Record<string, T> =>
  value === undefined ? {} : { [name]: value };

function hostConfig(flags: FlagValues) {
  return {
    ...resources(flags),
    AutoRemove: flags.bool("rm"),
    RestartPolicy: parseRestart(flags.text("restart") ?? "no"),
    ContainerIDFile: flags.text("cidfile") ?? "",
    LogConfig: { Type: flags.text("log-driver") ?? "", Config: pairsOf(flags.list("log-opt")) },
    PublishAllPorts: flags.bool("publish-all"),
    VolumeDriver: flags.text("volume-driver") ?? "",
    VolumesFrom: flags.list("volumes-from").length > 0 ? flags.list("volumes-from") : null,
    Mounts: flags.list("mount").map(parseMount),
    Tmpfs: parseTmpfs(flags.list("tmpfs")),
    CapAdd: nullIfEmpty(flags.list("cap-add")),
    CapDrop: nullIfEmpty(flags.list("cap-drop")),
    CgroupnsMode: flags.text("cgroupns") ?? "",
    Dns: flags.list("dns"),
    DnsOptions: [...flags.list("dns-option"), ...flags.list("dns-opt")],
    DnsSearch: flags.list("dns-search"),
    ExtraHosts: nullIfEmpty(flags.list("add-host").map(extraHost)),
    GroupAdd: nullIfEmpty(flags.list("group-add")),
    IpcMode: flags.text("ipc") ?? "",
    Links: nullIfEmpty(flags.list("link")),
    OomScoreAdj: flags.number("oom-score-adj") ?? 0,
    PidMode: flags.text("pid") ?? "",
    Privileged: flags.bool("privileged"),
    ReadonlyRootfs: flags.bool("read-only"),
    SecurityOpt: nullIfEmpty(flags.list("security-opt").map(securityOption)),
    StorageOpt: pairsOf(flags.list("storage-opt")),
    UTSMode: flags.text("uts") ?? "",
    UsernsMode: flags.text("userns") ?? "",
    ShmSize: parseBytes(flags.text("shm-size") ?? "0") ?? 0,
    Sysctls: pairsOf(flags.list("sysctl")),
    Runtime: flags.text("runtime") ?? "",
    Isolation: flags.text("isolation") ?? "",
    ...optional("Init", flags.has("init") ? flags.bool("init") : undefined),
    ...optional("Annotations", flags.has("annotation") ? pairsOf(flags.list("annotation")) : undefined),
  };
}

const nullIfEmpty = (list: readonly string[]): readonly string[] | null => (list.length > 0 ? list : null);

function resources(flags: FlagValues) {
  const memory = bytes(flags, "memory");
  return {
    CpuShares: flags.number("cpu-shares") ?? 0,
    Memory: memory,
    NanoCpus: parseCpus(flags.text("cpus") ?? "0"),
    CgroupParent: flags.text("cgroup-parent") ?? "",
    BlkioWeight: flags.number("blkio-weight") ?? 0,
    BlkioWeightDevice: flags.list("blkio-weight-device").map(parseWeightDevice),
    BlkioDeviceReadBps: flags.list("device-read-bps").map((spec) => parseThrottle(spec, "bytes")),
    BlkioDeviceWriteBps: flags.list("device-write-bps").map((spec) => parseThrottle(spec, "bytes")),
    BlkioDeviceReadIOps: flags.list("device-read-iops").map((spec) => parseThrottle(spec, "operations")),
    BlkioDeviceWriteIOps: flags.list("device-write-iops").map((spec) => parseThrottle(spec, "operations")),
    CpuPeriod: flags.number("cpu-period") ?? 0,
    CpuQuota: flags.number("cpu-quota") ?? 0,
    CpuRealtimePeriod: flags.number("cpu-rt-period") ?? 0,
    CpuRealtimeRuntime: flags.number("cpu-rt-runtime") ?? 0,
    CpusetCpus: flags.text("cpuset-cpus") ?? "",
    CpusetMems: flags.text("cpuset-mems") ?? "",
    Devices: flags.list("device").map(parseDevice),
    DeviceCgroupRules: nullIfEmpty(flags.list("device-cgroup-rule")),
    DeviceRequests: flags.has("gpus") ? flags.list("gpus").map(parseGpus) : null,
    MemoryReservation: bytes(flags, "memory-reservation"),
    MemorySwap: bytes(flags, "memory-swap"),
    MemorySwappiness: flags.number("memory-swappiness") ?? -1,
    OomKillDisable: flags.bool("oom-kill-disable"),
    PidsLimit: flags.number("pids-limit") ?? 0,
    Ulimits: flags.list("ulimit").map(parseUlimit),
  };
}

const bytes = (flags: FlagValues, name: string): number => parseBytes(flags.text(name) ?? "0") ?? 0;

/** seccomp=FILE is read here: the engine gets the profile itself. */
function securityOption(option: string): string {
  const file = /^seccomp[=:](.+)$/.exec(option)?.[1];
  if (!/[=:]/.test(option) && !["no-new-privileges", "writable-cgroups"].includes(option))
    throw new HullError("invalid-argument", `Invalid --security-opt: ${JSON.stringify(option)}`);
  if (file === undefined || file === "unconfined" || file === "builtin")
    return option.replace(/^(seccomp|label|apparmor):/, "$1=");
  const text = attempt(`opening seccomp profile (${file}) failed`, () => readText(file));
  return attempt(
    `compacting json for seccomp profile (${file}) failed`,
    () => `seccomp=${JSON.stringify(JSON.parse(text))}`,
  );
}

function attempt<T>(what: string, step: () => T): T {
  try {
    return step();
  } catch (error) {
    throw new HullError("invalid-argument", `${what}: ${messageOf(error)}`, { cause: error });
  }
}

function healthcheck(flags: FlagValues): Record<string, unknown> | undefined {
  const names = [
    "health-cmd",
    "health-interval",
    "health-timeout",
    "health-start-period",
    "health-start-interval",
    "health-retries",
  ];
  if (flags.bool("no-healthcheck")) {
    if (names.some((name) => flags.has(name))) {
      throw new HullError("invalid-argument", "--no-healthcheck conflicts with --health-* options");
    }
    return { Test: ["NONE"] };
  }
  if (!names.some((name) => flags.has(name))) return undefined;
  const command = flags.text("health-cmd");
  const retries = flags.number("health-retries") ?? 0;
  if (retries < 0) throw new HullError("invalid-argument", "--health-retries cannot be negative");
  return {
    ...(command === undefined ? {} : { Test: ["CMD-SHELL", command] }),
    Interval: duration(flags, "health-interval"),
    Timeout: duration(flags, "health-timeout"),
    StartPeriod: duration(flags, "health-start-period"),
    StartInterval: duration(flags, "health-start-interval"),
    Retries: retries,
  };
}

const duration = (flags: FlagValues, name: string): number => {
  const value = parseDurationNs(flags.text(name) ?? "0") ?? 0;
  if (value < 0) throw new HullError("invalid-argument", `--${name} cannot be negative`);
  return value;
};
