/**
 * A container's record -> its OCI specification (config.json). Deterministic, so that the same text means nothing to update. What it looks at
 * besides the record: device nodes, and the processes of containers it joins.
 */
import { existsSync } from "node:fs";
import type { ContainerDeps } from "../deps.ts";
import type { ContainerRecord } from "../record.ts";
import { capabilitiesOf } from "./capabilities.ts";
import { devicesOf } from "./devices.ts";
import { mountsOf } from "./mounts.ts";
import { namespacesOf } from "./namespaces.ts";
import { argumentsOf, environmentOf, rlimitsOf } from "./process.ts";
import { resourcesOf } from "./resources.ts";
import { seccompOf } from "./seccomp.ts";
import { parseSecurityOptions, type SecurityOptions } from "./security.ts";

const CGROUP_PARENT = "/hull";

/** Without a cgroup namespace of its own on v1 hosts, as Docker. */
export const defaultCgroupns = (): "private" | "host" =>
  existsSync("/sys/fs/cgroup/cgroup.controllers") ? "private" : "host";

export const specFacts = (deps: ContainerDeps) => ({
  execRoot: deps.config.execRoot,
  keelPath: deps.keelPath,
  lookUp: (reference: string): ContainerRecord => deps.registry.get(reference).record,
});

/** Throws invalid-argument for unknown capabilities and security options, internal for missing devices. */
export function buildSpec(deps: ContainerDeps, record: ContainerRecord): object {
  const { hostConfig: host, config } = record;
  const facts = specFacts(deps);
  const security = parseSecurityOptions(host.SecurityOpt ?? []);
  const capabilities = capabilitiesOf(host);
  const namespaces = namespacesOf(record, facts);
  return {
    ociVersion: "1.2.0",
    process: processOf(deps, record, { capabilities, security }),
    root: { path: "rootfs", readonly: host.ReadonlyRootfs },
    ...(namespaces.some(({ type }) => type === "uts") && {
      hostname: config.Hostname,
      ...(config.Domainname !== "" && { domainname: config.Domainname }),
    }),
    mounts: mountsOf(record, facts),
    linux: linuxOf(record, { capabilities, security, namespaces }),
    annotations: annotationsOf(record),
  };
}

interface Narrowing {
  readonly capabilities: readonly string[];
  readonly security: SecurityOptions;
}

function processOf(deps: ContainerDeps, record: ContainerRecord, { capabilities, security }: Narrowing): object {
  const { hostConfig: host, config } = record;
  const [rows, columns] = host.ConsoleSize;
  return {
    terminal: config.Tty,
    ...(rows > 0 && columns > 0 && { consoleSize: { height: rows, width: columns } }),
    user: userOf(config.User, host.GroupAdd),
    args: argumentsOf(record),
    env: environmentOf(record),
    cwd: config.WorkingDir || "/",
    capabilities: capabilitySets(capabilities, config.User),
    rlimits: rlimitsOf(record, deps.config.defaultUlimits),
    noNewPrivileges: security.noNewPrivileges ?? deps.config.noNewPrivileges,
    ...(security.apparmor !== "" && security.apparmor !== "unconfined" && { apparmorProfile: security.apparmor }),
    oomScoreAdj: host.OomScoreAdj,
  };
}

/**
 * Who it runs as, resolved inside the container once its root is there: the runtime takes `username` ("name|uid[:group|gid]") and
 * `additionalGroups` (names or numbers) for the numbers.
 */
export const userOf = (user: string, groups: readonly string[] | null): object => ({
  uid: 0,
  gid: 0,
  username: user,
  ...(groups?.length && { additionalGroups: groups }),
});

/** Only root has what it may have; others start with none in effect (the runtime's change of user drops them) and bounded by the same set. */
export function capabilitySets(names: readonly string[], user: string): object {
  const isRoot = user === "" || /^(root|0)(:|$)/.test(user);
  return isRoot ? { bounding: names, effective: names, permitted: names } : { bounding: names };
}

interface LinuxParts extends Narrowing {
  readonly namespaces: readonly object[];
}

function linuxOf(record: ContainerRecord, { security, namespaces, capabilities }: LinuxParts): object {
  const { hostConfig: host, id } = record;
  const { devices, rules } = devicesOf(record);
  const open = host.Privileged || security.systemPathsUnconfined;
  const seccomp = host.Privileged ? undefined : seccompOf(security.seccomp, capabilities);
  return {
    namespaces,
    cgroupsPath: `${host.CgroupParent || CGROUP_PARENT}/${id}`,
    resources: { devices: rules, ...resourcesOf(host) },
    ...(devices.length > 0 && { devices }),
    ...(Object.keys(sysctlsOf(record)).length > 0 && { sysctl: sysctlsOf(record) }),
    ...(seccomp && { seccomp }),
    maskedPaths: open ? [] : (host.MaskedPaths ?? []),
    readonlyPaths: open ? [] : (host.ReadonlyPaths ?? []),
  };
}

/** As Docker since 20.10: unprivileged processes may bind low ports and ping, in namespaces of their own. */
function sysctlsOf({ hostConfig: host }: ContainerRecord): Record<string, string> {
  const ownNetwork = host.NetworkMode !== "host" && !host.NetworkMode.startsWith("container:");
  return {
    ...(ownNetwork &&
      !host.Privileged && { "net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647" }),
    ...host.Sysctls,
  };
}

function annotationsOf(record: ContainerRecord): Record<string, string> {
  const { hostConfig: host } = record;
  return { ...host.Annotations, ...(host.Privileged && { "hull.degrade": "capabilities,rlimits,oom-score" }) };
}
