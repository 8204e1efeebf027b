/** The flags that become HostConfig's resources: devices, ulimits, block IO, GPUs. */
import { HullError } from "../../platform/errors.ts";
import { parseBytes } from "../flags.ts";

const refuse = (text: string): HullError => new HullError("invalid-argument", text);

/** --device "/dev/x[:/dev/y][:rwm]". */
export function parseDevice(spec: string): { PathOnHost: string; PathInContainer: string; CgroupPermissions: string } {
  const parts = spec.split(":");
  const isMode = (text: string) => /^[rwm]{1,3}$/.test(text);
  if (parts.length > 3 || parts[0] === "") throw refuse(`bad format for path: ${spec}`);
  const [host = "", second = "", third = ""] = parts;
  if (parts.length === 3 && !isMode(third)) throw refuse(`bad mode specified: ${third}`);
  if (parts.length === 2 && isMode(second))
    return { PathOnHost: host, PathInContainer: host, CgroupPermissions: second };
  return { PathOnHost: host, PathInContainer: second || host, CgroupPermissions: third || "rwm" };
}

const ulimitNames = new Set(
  "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split(" "),
);

/** --ulimit "nofile=1024[:2048]". */
export function parseUlimit(spec: string): { Name: string; Soft: number; Hard: number } {
  const [name = "", value] = spec.split("=") as [string, string?];
  if (value === undefined) throw refuse(`invalid ulimit argument: ${spec}`);
  if (!ulimitNames.has(name)) throw refuse(`invalid ulimit type: ${name}`);
  const [soft, hard = soft] = value.split(":") as [string, string?];
  const limits = [soft, hard].map((text) => (text !== undefined && /^-?\d+$/.test(text) ? Number(text) : Number.NaN));
  if (limits.some(Number.isNaN)) throw refuse(`strconv.ParseInt: parsing ${JSON.stringify(value)}: invalid syntax`);
  const [Soft, Hard] = limits as [number, number];
  if (Hard !== -1 && (Soft > Hard || Soft === -1)) {
    throw refuse(`ulimit soft limit must be less than or equal to hard limit: ${Soft} > ${Hard}`);
  }
  return { Name: name, Soft, Hard };
}

/** --device-read-bps "/dev/sda:1mb": rate in bytes or operations per second. */
export function parseThrottle(spec: string, unit: "bytes" | "operations"): { Path: string; Rate: number } {
  const colon = spec.lastIndexOf(":");
  const path = spec.slice(0, colon);
  const rate = unit === "bytes" ? parseBytes(spec.slice(colon + 1)) : Number(spec.slice(colon + 1));
  if (colon < 0 || !path.startsWith("/dev/")) throw refuse(`bad format for device path: ${spec}`);
  if (rate === undefined || Number.isNaN(rate) || rate < 0)
    throw refuse(`invalid rate for device: ${spec}. The correct format is <device-path>:<number>`);
  return { Path: path, Rate: rate };
}

export function parseWeightDevice(spec: string): { Path: string; Weight: number } {
  const [path = "", weight = ""] = spec.split(":");
  if (!path.startsWith("/dev/")) throw refuse(`bad format for device path: ${spec}`);
  if (!/^\d+$/.test(weight)) throw refuse(`invalid weight for device: ${spec}`);
  return { Path: path, Weight: Number(weight) };
}

/** --cpus "1.5" in units of 10^-9. */
export function parseCpus(text: string): number {
  const value = Number(text);
  return Math.round(value * 1e9);
}

/** --gpus "all", "2", "device=0,1". */
export function parseGpus(spec: string): Record<string, unknown> {
  const base = { Driver: "", Capabilities: [["gpu"]], Options: {} };
  if (spec === "all") return { ...base, Count: -1, DeviceIDs: null };
  if (/^\d+$/.test(spec)) return { ...base, Count: Number(spec), DeviceIDs: null };
  const device = /^"?device=(.+?)"?$/.exec(spec);
  if (!device) throw refuse(`invalid argument ${JSON.stringify(spec)} for "--gpus" flag`);
  return { ...base, Count: 0, DeviceIDs: device[1]!.split(",") };
}

/** --restart "on-failure:3". */
export function parseRestart(text: string): { Name: string; MaximumRetryCount: number } {
  const [name = "", count, extra] = text.split(":");
  if (extra !== undefined)
    throw refuse("invalid restart policy format: restart policy format must be 'policy:max-retry-count'");
  if (count !== undefined && !/^-?\d+$/.test(count))
    throw refuse("invalid restart policy format: maximum retry count must be an integer");
  return { Name: name, MaximumRetryCount: Number(count ?? 0) };
}
