/** GET /info, from memory. */
import { HULL_VERSION } from "../../platform/version.ts";
import { parseMirrors } from "../../registry/client/settings.ts";
import type { DaemonConfig } from "../config.ts";
import type { ContainerCounts } from "../containers/api.ts";
import { timeNow } from "../time.ts";
import { DOCKER_VERSION } from "./docker-version.ts";
import type { HostFacts } from "./host-facts.ts";

/** What info reports beside settings and the machine. */
export interface EngineState {
  readonly id: string;
  readonly containers: ContainerCounts;
  readonly images: number;
  readonly eventListeners: number;
  readonly storage: { readonly driver: string; readonly backingFilesystem: string };
  readonly firewallDriver: string;
  readonly containerdSocket: string;
  /** "" when there is none. */
  readonly initBinary: string;
  /** What is degraded, a sentence each. */
  readonly warnings: readonly string[];
  /** Which security modules of the kernel are in use: "apparmor", "selinux". */
  readonly cgroupNamespaces: boolean;
}

export interface InfoSources {
  readonly config: DaemonConfig;
  readonly host: HostFacts;
  readonly state: EngineState;
}

export function infoAnswer(sources: InfoSources): object {
  const { config, state } = sources;
  return {
    ...objectCounts(state),
    ...storage(state),
    ...cgroups(sources),
    ...machine(sources),
    Plugins: {
      Volume: ["local"],
      Network: ["bridge", "host", "null"],
      Authorization: null,
      Log: ["json-file", "none"],
    },
    IPv4Forwarding: true,
    Debug: config.debug,
    NFd: 0,
    NGoroutines: 0,
    SystemTime: timeNow(),
    LoggingDriver: config.logDriver,
    NEventsListener: state.eventListeners,
    IndexServerAddress: "https://index.docker.io/v1/",
    RegistryConfig: registries(config),
    GenericResources: null,
    DockerRootDir: config.dataRoot,
    HttpProxy: "",
    HttpsProxy: "",
    NoProxy: "",
    Labels: config.labels,
    ExperimentalBuild: false,
    ServerVersion: DOCKER_VERSION,
    ...runtimes(config),
    Swarm: noSwarm,
    LiveRestoreEnabled: config.liveRestore,
    Isolation: "",
    InitBinary: state.initBinary,
    ContainerdCommit: { ID: `hull-${HULL_VERSION}`, Expected: `hull-${HULL_VERSION}` },
    RuncCommit: { ID: `hull-${HULL_VERSION}`, Expected: `hull-${HULL_VERSION}` },
    InitCommit: { ID: `hull-${HULL_VERSION}`, Expected: `hull-${HULL_VERSION}` },
    SecurityOptions: securityOptions(config, state),
    FirewallBackend: { Driver: state.firewallDriver },
    CDISpecDirs: [],
    Containerd: {
      Address: state.containerdSocket,
      Namespaces: { Containers: "moby", Plugins: "plugins.moby" },
    },
    Warnings: warnings(sources),
  };
}

function objectCounts({ id, containers, images }: EngineState) {
  const { running, paused, stopped } = containers;
  return {
    ID: id,
    Containers: running + paused + stopped,
    ContainersRunning: running,
    ContainersPaused: paused,
    ContainersStopped: stopped,
    Images: images,
  };
}

function storage({ storage: { driver, backingFilesystem } }: EngineState) {
  const status = driver === "overlay2" ? [["Backing Filesystem", backingFilesystem]] : [];
  return { Driver: driver, DriverStatus: status };
}

function cgroups({ host: { cgroup } }: InfoSources) {
  return {
    MemoryLimit: cgroup.memoryLimit,
    SwapLimit: cgroup.swapLimit,
    CpuCfsPeriod: cgroup.cpuQuota,
    CpuCfsQuota: cgroup.cpuQuota,
    CPUShares: cgroup.cpuShares,
    CPUSet: cgroup.cpuSet,
    PidsLimit: cgroup.pidsLimit,
    OomKillDisable: cgroup.oomKillDisable,
    CgroupDriver: "cgroupfs",
    CgroupVersion: cgroup.version,
  };
}

function machine({ host }: InfoSources) {
  return {
    KernelVersion: host.kernelVersion,
    OperatingSystem: host.operatingSystem,
    OSVersion: host.osVersion,
    OSType: "linux",
    Architecture: host.machine,
    NCPU: host.cpus,
    MemTotal: host.memoryBytes,
    Name: host.hostname,
  };
}

/** Of other registries' mirrors the entries say it. */
function registries(config: DaemonConfig) {
  const mirrors = parseMirrors(config.registryMirrors);
  const hub = { Name: "docker.io", Mirrors: mirrors["docker.io"] ?? [], Secure: true, Official: true };
  const isNetwork = (name: string): boolean => name.includes("/");
  const insecure = config.insecureRegistries.filter((name) => !isNetwork(name));
  const named = [...new Set([...insecure, ...Object.keys(mirrors)])].filter((name) => name !== "docker.io");
  const entry = (name: string) =>
    [name, { Name: name, Mirrors: mirrors[name] ?? [], Secure: !insecure.includes(name), Official: false }] as const;
  return {
    AllowNondistributableArtifactsCIDRs: config.allowNondistributable.filter(isNetwork),
    AllowNondistributableArtifactsHostnames: config.allowNondistributable.filter((name) => !isNetwork(name)),
    InsecureRegistryCIDRs: ["127.0.0.0/8", "::1/128", ...config.insecureRegistries.filter(isNetwork)],
    IndexConfigs: { "docker.io": hub, ...Object.fromEntries(named.map(entry)) },
    Mirrors: hub.Mirrors,
  };
}

function runtimes(config: DaemonConfig) {
  const others = Object.entries(config.runtimes).map(
    ([name, { path, args }]) => [name, { path, ...(args.length > 0 ? { runtimeArgs: args } : {}) }] as const,
  );
  return {
    Runtimes: { "hull-runc": { path: "hull-runc" }, runc: { path: "hull-runc" }, ...Object.fromEntries(others) },
    DefaultRuntime: config.defaultRuntime,
  };
}

function securityOptions(config: DaemonConfig, state: EngineState): string[] {
  const profile = config.seccompProfile === "" ? "builtin" : config.seccompProfile;
  return [
    `name=seccomp,profile=${profile}`,
    ...(state.cgroupNamespaces ? ["name=cgroupns"] : []),
    ...(config.noNewPrivileges ? ["name=no-new-privileges"] : []),
  ];
}

function warnings({ config, host: { cgroup }, state }: InfoSources): string[] {
  const lacking: readonly (readonly [boolean, string])[] = [
    [cgroup.memoryLimit, "WARNING: No memory limit support"],
    [cgroup.swapLimit, "WARNING: No swap limit support"],
    [cgroup.oomKillDisable || cgroup.version === "2", "WARNING: No oom kill disable support"],
    [cgroup.cpuQuota, "WARNING: No cpu cfs quota support"],
    [cgroup.cpuShares, "WARNING: No cpu shares support"],
    [cgroup.cpuSet, "WARNING: No cpuset support"],
    [cgroup.pidsLimit, "WARNING: No pids limit support"],
    [
      !config.insecureTcp,
      "WARNING: --insecure-tcp: the API may be reachable without TLS. Access to it is root on this machine.",
    ],
  ];
  return [
    ...lacking.flatMap(([present, text]) => (present ? [] : [text])),
    ...state.warnings.map((text) => `WARNING: ${text}`),
  ];
}

const noSwarm = {
  NodeID: "",
  NodeAddr: "",
  LocalNodeState: "inactive",
  ControlAvailable: false,
  Error: "",
  RemoteManagers: null,
};
