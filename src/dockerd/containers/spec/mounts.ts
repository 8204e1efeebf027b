/** The mounts of the specification: the kernel's file systems, the engine's three files, and what was asked for. Pure. */
import { existsSync } from "node:fs";
import { defaultMounts } from "../../../oci/default-spec.ts";
import { containerOf } from "../create/verify-modes.ts";
import type { ContainerMount, ContainerRecord } from "../record.ts";
import { sharedMemoryPath } from "../shared-memory.ts";
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

/** Privileged containers may write /sys and their cgroups; with the host's ipc namespace its queues are seen. */
function kernelMounts({ hostConfig }: ContainerRecord): SpecMount[] {
  const writable = (options: readonly string[]) => options.map((option) => (option === "ro" ? "rw" : option));
  return defaultMounts
    .filter(({ destination }) => destination !== "/dev/shm")
    .map((mount) => (hostConfig.Privileged ? { ...mount, options: writable(mount.options) } : mount))
    .flatMap((mount) => (mount.type === "mqueue" && hostConfig.IpcMode === "host" ? hostQueues() : [mount]));
}

/** A host may have none. */
const hostQueues = (): SpecMount[] =>
  existsSync("/dev/mqueue")
    ? [{ destination: "/dev/mqueue", type: "bind", source: "/dev/mqueue", options: ["rbind", ...secure] }]
    : [];

/** /dev/shm belongs to the ipc namespace: joined with it, absent without. */
function sharedMemory(record: ContainerRecord, facts: MountFacts): SpecMount[] {
  const { IpcMode: mode, ShmSize } = record.hostConfig;
  const destination = "/dev/shm";
  if (mode === "none") return [];
  if (mode === "host") return [{ destination, type: "bind", source: destination, options: ["rbind", ...secure] }];
  const joined = containerOf(mode);
  const sharer = joined === undefined ? record : facts.lookUp(joined);
  if (joined !== undefined && sharer.hostConfig.IpcMode === "host")
    return [{ destination, type: "bind", source: destination, options: ["rbind", ...secure] }];
  if (joined !== undefined || mode === "shareable")
    return [{ destination, type: "bind", source: sharedMemoryPath(sharer), options: ["rbind", "rprivate", ...secure] }];
  return [{ destination, type: "tmpfs", source: "shm", options: [...secure, "mode=1777", `size=${ShmSize}`] }];
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
  const temporary = Object.entries(record.hostConfig.Tmpfs ?? {}).map(([destination, options]) =>
    tmpfs(destination, options),
  );
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
