/** The container's view of its cgroups: on v1 a tmpfs with one directory per hierarchy, on v2 the one tree. */

import { NO_SLOT } from "../../keel/operations.ts";
import { type Operation, operation } from "../../keel/plan.ts";
import type { CgroupLayout } from "../cgroups/layout.ts";
import {
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_RDONLY,
  OPEN_TREE_CLONE,
} from "../kernel-constants.ts";
import type { MountOptions } from "./mount-options.ts";
import { SLOT } from "./slots.ts";

export interface CgroupMount {
  readonly destination: string;
  readonly cause: string;
  /** For the tmpfs that holds the hierarchies. */
  readonly slot: number;
  readonly options: MountOptions;
  readonly layout: CgroupLayout;
  readonly ownNamespace: boolean;
}

const SECURE = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
const CREATE_DIRECTORY = 2;

export function cgroupMountOperations(mount: CgroupMount): { operations: Operation[]; hasTmpfs: boolean } {
  const { layout, options } = mount;
  const attr = SECURE | (options.attributes.set & MOUNT_ATTR_RDONLY);
  if (layout.mode === "v2")
    return {
      operations: hierarchy(mount, mount.destination, { ...layout.unified!, type: "cgroup2", data: [] }, attr),
      hasTmpfs: false,
    };
  const { slot, cause, destination } = mount;
  const tmpfs = [
    operation(
      "fsmount",
      { slot, attr: SECURE, type: "tmpfs", source: "tmpfs", options: ["mode", "755"] },
      { cause, subject: `tmpfs for ${destination}` },
    ),
    attach(slot, destination, cause),
  ];
  const trees = layout.hierarchies.flatMap(({ name, controllers, directory, path }) =>
    hierarchy(
      mount,
      `${destination}/${name}`,
      { directory, path, type: "cgroup", data: dataOf(name, controllers) },
      attr,
    ),
  );
  const links = layout.hierarchies.flatMap(({ name, controllers }) =>
    controllers
      .filter((controller) => controller !== name && !controller.startsWith("name="))
      .map((controller) =>
        operation("symlinkIn", { rootSlot: SLOT.root, target: name, path: `${destination}/${controller}` }, { cause }),
      ),
  );
  return { operations: [...tmpfs, ...trees, ...links], hasTmpfs: true };
}

interface Tree {
  /** Where the host mounts it, and this container's directory in it. */
  readonly directory: string;
  readonly path: string;
  readonly type: string;
  readonly data: readonly string[];
}

/** With a namespace of its own the hierarchy itself, rooted at its own cgroup; else a bind of its directory. */
function hierarchy(mount: CgroupMount, destination: string, tree: Tree, attr: number): Operation[] {
  const { cause, ownNamespace } = mount;
  if (ownNamespace) {
    return [
      operation(
        "fsmount",
        {
          slot: SLOT.mount,
          attr,
          type: tree.type,
          source: tree.type === "cgroup2" ? "cgroup2" : "cgroup",
          options: tree.data,
        },
        { cause, subject: `${tree.type} for ${destination}` },
      ),
      attach(SLOT.mount, destination, cause),
    ];
  }
  const source = `${tree.directory}${tree.path}`;
  return [
    operation("openTree", { slot: SLOT.mount, flags: OPEN_TREE_CLONE, path: source }, { cause, subject: source }),
    operation(
      "mountSetattr",
      { slot: SLOT.mount, recursive: 0, set: attr, clear: 0, propagation: 0, usernsSlot: NO_SLOT },
      { cause, subject: destination },
    ),
    attach(SLOT.mount, destination, cause),
  ];
}

const attach = (slot: number, path: string, cause: string): Operation =>
  operation(
    "moveMountIn",
    { slot, rootSlot: SLOT.root, create: CREATE_DIRECTORY, mode: 0o755, flags: 0, path },
    { cause, subject: path },
  );

/** fsconfig's pairs for a v1 hierarchy: each controller is a flag; a named one is "name=systemd" with "none". */
function dataOf(name: string, controllers: readonly string[]): string[] {
  const named = controllers.find((controller) => controller.startsWith("name="));
  if (named !== undefined) return ["none", "", "name", named.slice("name=".length)];
  return (controllers.length > 0 ? controllers : [name]).flatMap((controller) => [controller, ""]);
}
