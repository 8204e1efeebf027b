/** Devices of a container: --device mappings, all of the host's for --privileged, and the rules of the device cgroup. Looks at /dev. */
import { readdirSync, realpathSync, type Stats, statSync } from "node:fs";
import { defaultDeviceRules } from "../../../oci/default-spec.ts";
import { HullError } from "../../../platform/errors.ts";
import type { DeviceMapping } from "../config.ts";
import type { ContainerRecord } from "../record.ts";
import { type DeviceRule, majorOf, minorOf } from "./resources.ts";

export interface Device {
  readonly path: string;
  readonly type: "c" | "b";
  readonly major: number;
  readonly minor: number;
  readonly fileMode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface DevicePlan {
  readonly devices: readonly Device[];
  readonly rules: readonly DeviceRule[];
}

const denyAll: DeviceRule = { allow: false, access: "rwm" };

export function devicesOf({ hostConfig }: ContainerRecord): DevicePlan {
  if (hostConfig.Privileged) return { devices: hostDevices(), rules: [{ allow: true, access: "rwm" }] };
  const mapped = (hostConfig.Devices ?? []).flatMap((mapping) =>
    mappedDevices(mapping).map((device) => ({ device, mapping })),
  );
  return {
    devices: mapped.map(({ device }) => device),
    rules: [
      denyAll,
      ...defaultDeviceRules,
      ...mapped.map(({ device, mapping }) => ({
        allow: true,
        type: device.type,
        major: device.major,
        minor: device.minor,
        access: mapping.CgroupPermissions || "rwm",
      })),
      ...(hostConfig.DeviceCgroupRules ?? []).map(parseRule),
    ],
  };
}

/** "c 1:3 mr", "a *:* rwm". Checked at create. */
function parseRule(text: string): DeviceRule {
  const [, type = "a", major = "*", minor = "*", access = "rwm"] =
    /^([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})$/.exec(text) ?? [];
  return {
    allow: true,
    type,
    ...(major !== "*" && { major: Number(major) }),
    ...(minor !== "*" && { minor: Number(minor) }),
    access,
  };
}

/** One node, or every node below a directory. */
function mappedDevices({ PathOnHost: host, PathInContainer: inside }: DeviceMapping): Device[] {
  const target = inside || host;
  const stats = look(host);
  const own = deviceOf(target, stats);
  if (own) return [own];
  const root = realpathSync(host);
  const devices = stats.isDirectory() ? below(root) : [];
  if (devices.length > 0)
    return devices.map((device) => ({ ...device, path: target + device.path.slice(root.length) }));
  throw failed(host, "not a device node");
}

function look(path: string): Stats {
  try {
    return statSync(path);
  } catch (error) {
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    throw failed(path, missing ? "no such file or directory" : String(error), error);
  }
}

const failed = (path: string, reason: string, cause?: unknown): HullError =>
  new HullError("internal", `error gathering device information while adding custom device "${path}": ${reason}`, {
    cause,
  });

function deviceOf(path: string, stats: Stats): Device | undefined {
  if (!stats.isCharacterDevice() && !stats.isBlockDevice()) return undefined;
  return {
    path,
    type: stats.isBlockDevice() ? "b" : "c",
    major: majorOf(stats.rdev),
    minor: minorOf(stats.rdev),
    fileMode: stats.mode & 0o777,
    uid: stats.uid,
    gid: stats.gid,
  };
}

/** Not part of a container's own /dev: ptys and what is mounted there. */
const skipped = new Set(["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev", "console"]);

const hostDevices = (): Device[] => below("/dev");

function below(directory: string): Device[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = `${directory}/${entry.name}`;
    if (skipped.has(entry.name) || entry.isSymbolicLink()) return [];
    if (entry.isDirectory()) return below(path);
    const stats = statSync(path, { throwIfNoEntry: false });
    const device = stats && deviceOf(path, stats);
    return device ? [device] : [];
  });
}
