/** Where a container's cgroups are: a value that is kept with the container for later commands. */
import { join, normalize } from "node:path";
import type { CgroupHost } from "./host.ts";

export interface CgroupPlace {
  /** Controller ("" for the unified tree) to its directory, an absolute path. Controllers that share a hierarchy share the directory. */
  readonly paths: Readonly<Record<string, string>>;
  /** Directory whose OOM kills are watched; empty: none. */
  readonly memory: string;
  /** 1: memory.oom_control, 2: memory.events, 0: none. */
  readonly oomVersion: 0 | 1 | 2;
}

/** The directories, each once. */
export const directoriesOf = (place: CgroupPlace): string[] => [...new Set(Object.values(place.paths))];

/** Those of v1 hierarchies, each once. */
export const v1Directories = (place: CgroupPlace): string[] => [
  ...new Set(Object.entries(place.paths).flatMap(([controller, path]) => (controller === "" ? [] : [path]))),
];

export const unifiedDirectory = (place: CgroupPlace): string | undefined => place.paths[""];

/** True when the unified tree is all there is. */
export const isV2Only = (place: CgroupPlace): boolean =>
  Object.keys(place.paths).every((controller) => controller === "");

/**
 * `cgroupsPath` of the spec: absolute is below the mount, relative below our own cgroup; empty: the id below our own. Nothing leads out of
 * the hierarchy. The systemd form ("slice:prefix:name") becomes slice/prefix-name.scope, since directories are all we make.
 */
export function cgroupPlace(host: CgroupHost, cgroupsPath: string, id: string): CgroupPlace {
  const wanted = cgroupsPath === "" ? id : systemdForm(cgroupsPath);
  const at = (mountPoint: string, own: string): string =>
    join(mountPoint, normalize(wanted.startsWith("/") ? wanted : `/${join(own, normalize(`/${wanted}`))}`));
  const v1 = host.v1.flatMap(({ controllers, mountPoint, own }) =>
    controllers.map((controller) => [controller, at(mountPoint, own)] as const),
  );
  const unified = host.unified ? [["", at(host.unified.mountPoint, host.unified.own)] as const] : [];
  const paths = Object.fromEntries([...v1, ...unified]);
  if (paths.memory !== undefined) return { paths, memory: paths.memory, oomVersion: 1 };
  const inUnified = host.unified?.controllers.includes("memory") ?? false;
  return { paths, memory: inUnified ? paths[""]! : "", oomVersion: inUnified ? 2 : 0 };
}

function systemdForm(path: string): string {
  const [slice, prefix, name, ...more] = path.split(":");
  if (slice === undefined || prefix === undefined || name === undefined || more.length > 0 || path.includes("/"))
    return path;
  return `/${slice || "system.slice"}/${prefix}-${name}.scope`;
}
