/** The container's view of its cgroups: on v1 a tmpfs with one directory per hierarchy, on v2 the one tree. Pure. */
import { basename } from "node:path";
import { NO_SLOT } from "../../keel/operations.ts";
import { type Operation, operation } from "../../keel/plan.ts";
import type { CgroupHost, V1Hierarchy } from "../cgroup/host.ts";
import { type CgroupPlace, unifiedDirectory } from "../cgroup/place.ts";
import {
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_RDONLY,
  OPEN_TREE_CLONE,
} from "../kernel-constants.ts";
import { SLOT } from "./slots.ts";

export interface CgroupMountContext {
  readonly cgroups: CgroupHost;
  readonly place: CgroupPlace;
  /** With a cgroup namespace of its own the hierarchies are mounted, rooted at its cgroup; else its directory is bound. */
  readonly ownCgroupNamespace: boolean;
}

export interface CgroupMount {
  readonly destination: string;
  readonly cause: string;
  readonly attributes: number;
}

const SECURE = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
const CREATE_DIRECTORY = 2;

export function cgroupMounts(
  context: CgroupMountContext,
  mount: CgroupMount,
): { readonly operations: readonly Operation[]; readonly hasTmpfs: boolean } {
  const { cgroups, ownCgroupNamespace } = context;
  if (cgroups.mode === "none") return { operations: [], hasTmpfs: false };
  if (cgroups.mode === "v2") {
    const path = unifiedDirectory(context.place)!;
    const fresh = { type: "cgroup2", source: "cgroup", options: [] };
    return { operations: ownCgroupNamespace ? mounted(fresh, mount) : bound(path, mount), hasTmpfs: false };
  }
  const { destination, cause } = mount;
  const tmpfs = operation(
    "fsmount",
    { slot: SLOT.mount, attr: SECURE, type: "tmpfs", source: "tmpfs", options: ["mode", "755"] },
    { cause, subject: `tmpfs on ${destination}` },
  );
  const trees = cgroups.v1.flatMap((hierarchy) => {
    const at = { ...mount, destination: `${destination}/${basename(hierarchy.mountPoint)}` };
    if (ownCgroupNamespace) return mounted({ type: "cgroup", source: "cgroup", options: dataOf(hierarchy) }, at);
    return bound(context.place.paths[hierarchy.controllers[0]!]!, at);
  });
  return {
    operations: [tmpfs, attach(destination, cause), ...trees, ...cgroups.v1.flatMap((one) => links(one, mount))],
    hasTmpfs: true,
  };
}

interface Fresh {
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

function mounted({ type, source, options }: Fresh, { destination, cause, attributes }: CgroupMount): Operation[] {
  const attr = SECURE | (attributes & MOUNT_ATTR_RDONLY);
  const subject = `${type} on ${destination}`;
  return [
    operation("fsmount", { slot: SLOT.mount, attr, type, source, options }, { cause, subject }),
    attach(destination, cause),
  ];
}

function bound(path: string, { destination, cause, attributes }: CgroupMount): Operation[] {
  const set = SECURE | (attributes & MOUNT_ATTR_RDONLY);
  return [
    operation("openTree", { slot: SLOT.mount, flags: OPEN_TREE_CLONE, path }, { cause }),
    operation(
      "mountSetattr",
      { slot: SLOT.mount, recursive: 0, set, clear: 0, propagation: 0, usernsSlot: NO_SLOT },
      { cause, subject: destination },
    ),
    attach(destination, cause),
  ];
}

/** Controllers that share a hierarchy are found under their own names too. */
function links({ controllers, mountPoint }: V1Hierarchy, { destination, cause }: CgroupMount): Operation[] {
  const name = basename(mountPoint);
  if (controllers.length < 2) return [];
  return controllers.map((controller) =>
    operation("symlinkIn", { rootSlot: SLOT.root, target: name, path: `${destination}/${controller}` }, { cause }),
  );
}

const attach = (path: string, cause: string): Operation =>
  operation(
    "moveMountIn",
    { slot: SLOT.mount, rootSlot: SLOT.root, create: CREATE_DIRECTORY, mode: 0o755, flags: 0, path },
    { cause },
  );

/** fsconfig's pairs for a v1 hierarchy: each controller is a flag; a named one has no controllers. */
function dataOf({ controllers }: V1Hierarchy): string[] {
  return controllers.flatMap((name) => (name.startsWith("name=") ? ["none", "", "name", name.slice(5)] : [name, ""]));
}
