/** Checks of a whole configuration before anything is made, with dockerd's sentences. Pure. */
import { isIP } from "node:net";
import type { ContainerConfig, HealthcheckConfig, HostConfig, RestartPolicy } from "../config.ts";
import { parseSignal } from "../signals.ts";
import { discardUnsupported, type Fitted, privilegeWarnings } from "./discard.ts";
import type { Machine } from "./machine.ts";
import { invalid } from "./refusal.ts";
import { verifyModes } from "./verify-modes.ts";
import { verifyLeastMemory, verifyResources } from "./verify-resources.ts";
import { verifyTmpfs } from "./verify-tmpfs.ts";

export interface Settings {
  readonly config: ContainerConfig;
  readonly hostConfig: HostConfig;
}

/** Throws invalid-argument; returns what this machine can give of it, with warnings for people. */
export function verify({ config, hostConfig }: Settings, machine: Machine): Fitted<HostConfig> {
  verifyConfig(config);
  verifyRestartPolicy(hostConfig.RestartPolicy);
  if (hostConfig.AutoRemove && !["", "no"].includes(hostConfig.RestartPolicy.Name))
    throw invalid("can't create 'AutoRemove' container with restart policy");
  verifyModes({ config, hostConfig });
  verifyLeastMemory(hostConfig);
  const { kept, warnings } = discardUnsupported(hostConfig, machine);
  verifyResources(kept, machine);
  verifyHostSettings(hostConfig);
  verifyPorts(config, hostConfig);
  return { kept, warnings: [...warnings, ...warningsOf(kept), ...privilegeWarnings(kept, machine)] };
}

function verifyConfig(config: ContainerConfig): void {
  if (config.WorkingDir !== "" && !config.WorkingDir.startsWith("/"))
    throw invalid(`the working directory '${config.WorkingDir}' is invalid, it needs to be an absolute path`);
  for (const variable of config.Env)
    if (variable === "" || variable.startsWith("=")) throw invalid(`invalid environment variable: ${variable}`);
  if (config.StopSignal) parseSignal(config.StopSignal);
  if (config.Healthcheck) verifyHealthcheck(config.Healthcheck);
}

const MILLISECOND_NS = 1_000_000;

export function verifyHealthcheck(check: HealthcheckConfig): void {
  for (const name of ["Interval", "Timeout", "StartPeriod", "StartInterval"] as const) {
    const value = check[name] ?? 0;
    if (value !== 0 && value < MILLISECOND_NS) throw invalid(`${name} in Healthcheck cannot be less than 1ms`);
  }
  if ((check.Retries ?? 0) < 0) throw invalid("Retries in Healthcheck cannot be negative");
}

export function verifyRestartPolicy(policy: RestartPolicy): void {
  const { Name: name, MaximumRetryCount: count } = policy;
  if (!["", "no", "always", "unless-stopped", "on-failure"].includes(name))
    throw invalid(
      `invalid restart policy: unknown policy '${name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'`,
    );
  const details = [
    ...(count !== 0 && name !== "on-failure" ? ["maximum retry count can only be used with 'on-failure'"] : []),
    ...(count < 0 ? ["cannot be negative"] : []),
  ];
  if (details.length > 0 && name !== "") throw invalid(`invalid restart policy: ${details.join(" and ")}`);
}

function verifyHostSettings(host: HostConfig): void {
  for (const [path, options] of Object.entries(host.Tmpfs ?? {})) verifyTmpfs(path, options);
  if (Object.keys(host.StorageOpt ?? {}).length > 0)
    throw invalid("--storage-opt is supported only for overlay over xfs with 'pquota' mount option");
  if (host.ShmSize < 0) throw invalid("SHM size can not be less than 0");
  if (host.OomScoreAdj < -1000 || host.OomScoreAdj > 1000)
    throw invalid(`Invalid value ${host.OomScoreAdj}, range for oom score adj is [-1000, 1000]`);
  for (const [name, value] of Object.entries(host.Annotations ?? {}))
    if (name === "" || value === "") throw invalid(`invalid Annotations: the empty string is not permitted`);
  for (const entry of host.ExtraHosts ?? []) verifyExtraHost(entry);
  for (const address of host.Dns) if (isIP(address) === 0) throw invalid(`bad nameserver address: ${address}`);
  for (const device of host.Devices ?? [])
    if (!/^[rwm]{0,3}$/.test(device.CgroupPermissions))
      throw invalid(`invalid device cgroup permissions: ${device.CgroupPermissions}`);
  for (const rule of host.DeviceCgroupRules ?? [])
    if (!/^[acb] ([0-9]+|\*):([0-9]+|\*) [rwm]{1,3}$/.test(rule))
      throw invalid(`invalid device cgroup rule format: '${rule}'`);
  if (host.DeviceRequests?.length)
    throw invalid(
      `could not select device driver "${host.DeviceRequests[0]!.Driver}" with capabilities: ${capabilitiesText(host)}`,
    );
}

const capabilitiesText = (host: HostConfig): string =>
  `[${(host.DeviceRequests?.[0]?.Capabilities ?? []).map((set) => `[${set.join(" ")}]`).join(" ")}]`;

/** "name:ip", where the address may hold colons and "host-gateway" stands for the host. */
function verifyExtraHost(entry: string): void {
  const colon = entry.indexOf(":");
  if (colon < 1) throw invalid(`bad format for add-host: "${entry}"`);
  const address = entry.slice(colon + 1).replace(/^\[(.*)\]$/, "$1");
  if (address !== "host-gateway" && isIP(address) === 0) throw invalid(`invalid IP address in add-host: "${address}"`);
}

function verifyPorts(config: ContainerConfig, host: HostConfig): void {
  for (const port of Object.keys(config.ExposedPorts ?? {}))
    if (!isPort(port)) throw invalid(`invalid port specification: "${port}"`);
  for (const [port, bindings] of Object.entries(host.PortBindings)) {
    if (!isPort(port)) throw invalid(`invalid port specification: "${port}"`);
    for (const binding of bindings ?? []) {
      if (!isHostPort(binding.HostPort)) throw invalid(`invalid port specification: "${binding.HostPort}"`);
      if (binding.HostIp !== "" && isIP(binding.HostIp) === 0) throw invalid(`invalid IP address: ${binding.HostIp}`);
    }
  }
}

const inRange = (text: string): boolean => /^\d{1,5}$/.test(text) && Number(text) <= 65535;

/** "80", "80/tcp", "8000-8010/udp". */
function isPort(spec: string): boolean {
  const [range = "", protocol = "tcp", ...rest] = spec.split("/");
  const ends = range.split("-");
  return (
    rest.length === 0 &&
    ["tcp", "udp", "sctp"].includes(protocol.toLowerCase()) &&
    ends.length <= 2 &&
    ends.every((end) => inRange(end) && Number(end) > 0) &&
    Number(ends[0]) <= Number(ends.at(-1))
  );
}

const isHostPort = (spec: string): boolean => {
  const ends = spec.split("-");
  return spec === "" || (ends.length <= 2 && ends.every(inRange) && Number(ends[0]) <= Number(ends.at(-1)));
};

function warningsOf(host: HostConfig): string[] {
  const warnings: string[] = [];
  if (host.OomKillDisable && host.Memory === 0)
    warnings.push(
      "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.",
    );
  const publishes = Object.keys(host.PortBindings).length > 0 || host.PublishAllPorts;
  if (publishes && host.NetworkMode === "host")
    warnings.push("Published ports are discarded when using host network mode");
  return warnings;
}
