/**
 * The host's cgroups: which hierarchies there are, where they are mounted, and where a container's directories are in them.
 * `readCgroupHost` looks once; everything else is pure.
 */
import { existsSync, readFileSync } from "node:fs";
import { HullError } from "../../platform/errors.ts";

export interface Hierarchy {
  /** The mount's last component: "memory", "cpu,cpuacct", "systemd". */
  readonly name: string;
  /** "memory"; "name=systemd" for a named one. */
  readonly controllers: readonly string[];
  /** Mount point on the host. */
  readonly directory: string;
}

export interface CgroupHost {
  readonly mode: "v1" | "hybrid" | "v2" | "none";
  readonly hierarchies: readonly Hierarchy[];
  /** The unified tree's mount point (v2, hybrid); undefined on v1. */
  readonly unified: string | undefined;
  /** Controllers of the unified tree. */
  readonly unifiedControllers: readonly string[];
  /** CPUs and memory nodes of the root, which new v1 cpusets must be given. */
  readonly cpus: string;
  readonly mems: string;
  readonly hasSwapAccounting: boolean;
}

export interface PlacedHierarchy extends Hierarchy {
  /** The container's path below the mount point: "/hull/<id>". */
  readonly path: string;
}

export interface CgroupLayout {
  readonly mode: CgroupHost["mode"];
  readonly host: CgroupHost;
  readonly hierarchies: readonly PlacedHierarchy[];
  readonly unified: { readonly directory: string; readonly path: string } | undefined;
}

/** Reads /proc/self/mountinfo (proc_pid_mountinfo(5)) and a few files of the hierarchies. */
export function readCgroupHost(): CgroupHost {
  const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n").flatMap(cgroupMount);
  const unified = mounts.find((mount) => mount.type === "cgroup2")?.directory;
  const hierarchies = mounts.filter((mount) => mount.type === "cgroup").map(toHierarchy);
  const cpuset = hierarchies.find(({ controllers }) => controllers.includes("cpuset"))?.directory;
  const memory = hierarchies.find(({ controllers }) => controllers.includes("memory"))?.directory;
  return {
    mode: hierarchies.length === 0 ? (unified ? "v2" : "none") : unified ? "hybrid" : "v1",
    hierarchies,
    unified,
    unifiedControllers: unified ? readOr(`${unified}/cgroup.controllers`, "").split(" ").filter(Boolean) : [],
    cpus: cpuset ? readOr(`${cpuset}/cpuset.cpus`, "") : "",
    mems: cpuset ? readOr(`${cpuset}/cpuset.mems`, "") : "",
    hasSwapAccounting: memory !== undefined && existsSync(`${memory}/memory.memsw.limit_in_bytes`),
  };
}

const readOr = (path: string, otherwise: string): string =>
  existsSync(path) ? readFileSync(path, "utf8").trim() : otherwise;

interface CgroupMountLine {
  readonly type: string;
  readonly directory: string;
  readonly superOptions: readonly string[];
}

function cgroupMount(line: string): CgroupMountLine[] {
  const [left = "", right = ""] = line.split(" - ");
  const [type = "", , options = ""] = right.split(" ");
  if (type !== "cgroup" && type !== "cgroup2") return [];
  return [{ type, directory: left.split(" ")[4] ?? "", superOptions: options.split(",") }];
}

const notControllers = new Set(["rw", "ro", "xattr", "clone_children", "noprefix", "seclabel", "release_agent"]);

function toHierarchy({ directory, superOptions }: CgroupMountLine): Hierarchy {
  const controllers = superOptions.filter(
    (option) => !notControllers.has(option) && !option.startsWith("release_agent="),
  );
  return { name: directory.slice(directory.lastIndexOf("/") + 1), controllers, directory };
}

/** Where the container's directories are. An absolute path counts from each root; a relative one below /hull. */
export function placeCgroups(host: CgroupHost, cgroupsPath: string | undefined, id: string): CgroupLayout {
  const wanted =
    cgroupsPath === undefined || cgroupsPath === ""
      ? `/hull/${id}`
      : cgroupsPath.startsWith("/")
        ? cgroupsPath
        : `/hull/${cgroupsPath}`;
  const path = wanted.replace(/\/+/g, "/").replace(/\/$/, "");
  if (path.split("/").includes("..") || path === "") {
    throw new HullError(
      "invalid-argument",
      `config.json /linux/cgroupsPath: ${cgroupsPath} is not a path below the root of the cgroups`,
    );
  }
  return {
    mode: host.mode,
    host,
    hierarchies: host.hierarchies.map((hierarchy) => ({ ...hierarchy, path })),
    unified: host.unified === undefined ? undefined : { directory: host.unified, path },
  };
}

/** The container's directory in the hierarchy of a controller; undefined where the host has no such controller. */
export function directoryOf(layout: CgroupLayout, controller: string): string | undefined {
  const hierarchy = layout.hierarchies.find(({ controllers }) => controllers.includes(controller));
  if (hierarchy) return `${hierarchy.directory}${hierarchy.path}`;
  if (layout.mode === "v2" && layout.unified && layout.host.unifiedControllers.includes(controller)) {
    return `${layout.unified.directory}${layout.unified.path}`;
  }
  return undefined;
}

/** Every directory of the container, leaf only. */
export function directoriesOf(layout: CgroupLayout): string[] {
  const trees = layout.unified ? [...layout.hierarchies, layout.unified] : layout.hierarchies;
  return trees.map(({ directory, path }) => `${directory}${path}`);
}
