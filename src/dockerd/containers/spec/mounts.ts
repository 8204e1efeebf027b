/** The mounts of the specification: the kernel's file systems, the engine's three files, and what was asked for. Pure. */
import { containerOf } from "../create/verify-modes.ts";
import type { ContainerMount, ContainerRecord } from "../record.ts";
import { isActive } from "../state.ts";
import { hasInit, INIT_PATH } from "./process.ts";

export interface SpecMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

export interface MountFacts {
  readonly keelPath: string;
  readonly lookUp: (reference: string) => ContainerRecord;
}

const secure = ["nosuid", "noexec", "nodev"];

export function mountsOf(record: ContainerRecord, facts: MountFacts): SpecMount[] {
  const wanted = wantedMounts(record);
  const taken = new Set(wanted.map((mount) => mount.destination));
  const base = [...kernelMounts(record), ...sharedMemory(record, facts), ...engineFiles(record, facts)];
  const own = base.filter((mount) => !taken.has(mount.destination));
  // Parents before children, whatever the order of the command line; the base comes first among equals.
  return [...own, ...wanted].sort((a, b) => depth(a) - depth(b));
}

const depth = ({ destination }: SpecMount): number => destination.split("/").filter((part) => part !== "").length;

function kernelMounts({ hostConfig }: ContainerRecord): SpecMount[] {
  const access = hostConfig.Privileged ? "rw" : "ro";
  return [
    { destination: "/proc", type: "proc", source: "proc", options: secure },
    { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "strictatime", "mode=755", "size=65536k"] },
    { destination: "/dev/pts", type: "devpts", source: "devpts", options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"] },
    { destination: "/sys", type: "sysfs", source: "sysfs", options: [...secure, access] },
    { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: [access, ...secure] },
    hostConfig.IpcMode === "host"
      ? { destination: "/dev/mqueue", type: "bind", source: "/dev/mqueue", options: ["rbind", ...secure] }
      : { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: secure },
  ];
}

/** /dev/shm belongs to the ipc namespace: joined with it, absent without. */
function sharedMemory({ hostConfig }: ContainerRecord, facts: MountFacts): SpecMount[] {
  const { IpcMode: mode } = hostConfig;
  const destination = "/dev/shm";
  if (mode === "none") return [];
  if (mode === "host") return [{ destination, type: "bind", source: destination, options: ["rbind", ...secure] }];
  const joined = containerOf(mode);
  if (joined !== undefined) {
    const { state } = facts.lookUp(joined);
    return [{ destination, type: "bind", source: `/proc/${isActive(state) ? state.pid : 0}/root/dev/shm`, options: ["rbind", ...secure] }];
  }
  return [{ destination, type: "tmpfs", source: "shm", options: [...secure, "mode=1777", `size=${hostConfig.ShmSize}`] }];
}

/** resolv.conf, hostname and hosts; those of the container whose network is joined. */
function engineFiles(record: ContainerRecord, facts: MountFacts): SpecMount[] {
  const joined = containerOf(record.hostConfig.NetworkMode);
  const owner = joined === undefined ? record : facts.lookUp(joined);
  const access = record.hostConfig.ReadonlyRootfs ? "ro" : "rw";
  const files = (["resolv.conf", "hostname", "hosts"] as const).map((name) => ({
    destination: `/etc/${name}`,
    type: "bind",
    source: `${owner.directory}/${name}`,
    options: ["rbind", "rprivate", access],
  }));
  const init = { destination: INIT_PATH, type: "bind", source: facts.keelPath, options: ["bind", "rprivate", "ro"] };
  return hasInit(record) ? [...files, init] : files;
}

function wantedMounts(record: ContainerRecord): SpecMount[] {
  const temporary = Object.entries(record.hostConfig.Tmpfs ?? {}).map(([destination, options]) => tmpfs(destination, options));
  return [...temporary, ...record.mounts.map(mountOf)];
}

function mountOf(mount: ContainerMount): SpecMount {
  if (mount.Type === "tmpfs") return tmpfs(mount.Destination, mount.tmpfsOptions);
  const source = mount.subpath === "" ? mount.Source : `${mount.Source}/${mount.subpath}`;
  const options = [mount.nonRecursive ? "bind" : "rbind", mount.Propagation || "rprivate", ...accessOf(mount)];
  return { destination: mount.Destination, type: "bind", source, options };
}

/** "try" is recursive: every kernel supported here can (5.12), and older ones get the plain flag from the compiler. */
function accessOf(mount: ContainerMount): string[] {
  if (mount.RW) return ["rw"];
  return mount.recursiveReadOnly === "no" || mount.nonRecursive || mount.Type === "volume" ? ["ro"] : ["rro"];
}

function tmpfs(destination: string, text: string): SpecMount {
  const given = text.split(",").filter((option) => option !== "");
  const names = new Set(given);
  const defaults = [
    ["noexec", "exec"],
    ["nosuid", "suid"],
    ["nodev", "dev"],
  ].flatMap(([option, opposite]) => (names.has(option!) || names.has(opposite!) ? [] : [option!]));
  return { destination, type: "tmpfs", source: "tmpfs", options: [...defaults, ...given] };
}
