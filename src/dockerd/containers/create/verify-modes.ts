/** Checks of namespace modes and of what conflicts with them (moby runconfig is the behaviour followed). Pure. */
import { invalid } from "./refusal.ts";
import type { Settings } from "./verify.ts";

/** The container that a "container:x" mode names; undefined for other modes. */
export function containerOf(mode: string): string | undefined {
  return mode.startsWith("container:") ? mode.slice("container:".length) : undefined;
}

export function verifyModes(settings: Settings): void {
  const { hostConfig: host, config } = settings;
  for (const mode of [host.NetworkMode, host.PidMode, host.IpcMode])
    if (containerOf(mode) === "") throw invalid("Invalid container format container:<name|id>");
  if (containerOf(host.NetworkMode) !== undefined) verifyJoinedNetwork(settings);
  if (host.UTSMode === "host" && config.Hostname !== "")
    throw invalid("conflicting options: hostname and the UTS mode");
  if (host.NetworkMode === "host" && (host.Links?.length ?? 0) > 0)
    throw invalid(
      "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
    );
  if (!["", "none", "private", "shareable", "host"].includes(host.IpcMode) && containerOf(host.IpcMode) === undefined)
    throw invalid(`invalid IPC mode: ${host.IpcMode}`);
  if (!["", "host"].includes(host.PidMode) && containerOf(host.PidMode) === undefined)
    throw invalid(`invalid PID mode: ${host.PidMode}`);
  if (!["", "host"].includes(host.UTSMode)) throw invalid(`invalid UTS mode: ${host.UTSMode}`);
  if (!["", "host"].includes(host.UsernsMode)) throw invalid(`invalid userns mode: ${host.UsernsMode}`);
  if (!["", "private", "host"].includes(host.CgroupnsMode))
    throw invalid(`invalid cgroup namespace mode: ${host.CgroupnsMode}`);
  if (!["", "default"].includes(host.Isolation))
    throw invalid(`invalid isolation (${host.Isolation}): only 'default' is supported on linux`);
}

function verifyJoinedNetwork({ config, hostConfig: host }: Settings): void {
  if (config.Hostname !== "") throw invalid("conflicting options: hostname and the network mode");
  if ((host.Links?.length ?? 0) > 0)
    throw invalid(
      "conflicting options: container type network can't be used with links. This would result in undefined behavior",
    );
  if (host.Dns.length > 0) throw invalid("conflicting options: dns and the network mode");
  if ((host.ExtraHosts?.length ?? 0) > 0)
    throw invalid("conflicting options: custom host-to-IP mapping and the network mode");
  if (Object.keys(host.PortBindings).length > 0 || host.PublishAllPorts)
    throw invalid("conflicting options: port publishing and the container type network mode");
  if (Object.keys(config.ExposedPorts ?? {}).length > 0)
    throw invalid("conflicting options: port exposing and the container type network mode");
}
