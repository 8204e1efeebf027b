/** The root file system: from the bundle's directory to the container's "/". Pure. */
import { NO_SLOT } from "../../keel/operations.ts";
import { type Operation, operation } from "../../keel/plan.ts";
import { defaultDevices, defaultLinks } from "../../oci/default-spec.ts";
import type { RuntimeSpec, SpecLinux } from "../../oci/runtime-spec.ts";
import { HullError } from "../../platform/errors.ts";
import {
  AT_RECURSIVE,
  MS_MOVE,
  MS_PRIVATE,
  MS_REC,
  MS_SHARED,
  MS_SLAVE,
  MS_UNBINDABLE,
  O_DIRECTORY_PATH,
  OPEN_TREE_CLONE,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
} from "../kernel-constants.ts";
import { parseMountOptions } from "./mount-options.ts";
import { SLOT } from "./slots.ts";

const propagationFlags: Readonly<Record<string, number>> = {
  shared: MS_SHARED,
  slave: MS_SLAVE,
  private: MS_PRIVATE,
  unbindable: MS_UNBINDABLE,
  rshared: MS_SHARED | MS_REC,
  rslave: MS_SLAVE | MS_REC,
  rprivate: MS_PRIVATE | MS_REC,
  runbindable: MS_UNBINDABLE | MS_REC,
};

export interface RootSurroundings {
  readonly parentMount: string | undefined;
  /** What is done between the two. */
  readonly ground: readonly Operation[];
}

/** Cuts the new mount namespace off from the host's, and makes the root a mount of its own, open in SLOT.root. */
export function openRoot(root: string, spec: RuntimeSpec, { parentMount, ground }: RootSurroundings): Operation[] {
  const { rootfsPropagation } = spec.linux;
  const cause = "config.json /root/path";
  const slot = SLOT.root;
  return [
    operation(
      "propagation",
      { path: "/", flags: propagationFlags[rootfsPropagation] ?? MS_SLAVE | MS_REC },
      { cause: "config.json /linux/rootfsPropagation" },
    ),
    // pivot_root refuses a root below a shared mount.
    ...(parentMount === undefined
      ? []
      : [operation("propagation", { path: parentMount, flags: MS_PRIVATE }, { cause })]),
    ...ground,
    operation("openTree", { slot, flags: OPEN_TREE_CLONE | AT_RECURSIVE, path: root }, { cause, subject: root }),
    operation(
      "mountSetattr",
      { slot, recursive: 0, set: 0, clear: 0, propagation: MS_PRIVATE, usernsSlot: NO_SLOT },
      { cause, subject: root },
    ),
    operation("moveMount", { slot, path: root }, { cause }),
  ];
}

/** Without a mount namespace: the directory as it is. */
export const openPlainRoot = (root: string): Operation[] => [
  operation("open", { slot: SLOT.root, flags: O_DIRECTORY_PATH, path: root }, { cause: "config.json /root/path" }),
];

/** A /dev that is bound from elsewhere is left alone. */
const bindsDev = (spec: RuntimeSpec): boolean =>
  spec.mounts.some(
    ({ destination, type, options }) =>
      /^\/*dev\/*$/.test(destination) && (type === "bind" || parseMountOptions(options).bind !== "no"),
  );

/** Device nodes and links. In a user namespace nodes can't be made: the host's are bound. */
export function devices(spec: RuntimeSpec, { bindsNodes }: { readonly bindsNodes: boolean }): Operation[] {
  if (bindsDev(spec)) return [];
  const own = spec.linux.devices.map((device, i) =>
    node(device, { bindsNodes, cause: `config.json /linux/devices/${i}` }),
  );
  const paths = new Set(spec.linux.devices.map(({ path }) => path));
  const standard = defaultDevices
    .filter(({ path }) => !paths.has(path))
    .map((device) =>
      node({ ...device, type: "c", fileMode: 0o666, uid: 0, gid: 0 }, { bindsNodes, cause: "default device" }),
    );
  const link = (path: string, target: string): Operation =>
    operation("symlinkIn", { rootSlot: SLOT.root, target, path }, { cause: "default link", subject: path });
  return [
    ...standard.flat(),
    ...own.flat(),
    link("/dev/ptmx", "pts/ptmx"),
    link("/dev/core", "/proc/kcore"),
    ...defaultLinks.map(([path, target]) => link(path, target)),
  ];
}

const kinds = { c: S_IFCHR, u: S_IFCHR, b: S_IFBLK, p: S_IFIFO } as const;
const CREATE_FILE = 1;

interface How {
  readonly bindsNodes: boolean;
  readonly cause: string;
}

function node(device: SpecLinux["devices"][number], { bindsNodes, cause }: How): Operation[] {
  const { path, type, major, minor, fileMode = 0o666, uid, gid } = device;
  if (!path.startsWith("/"))
    throw new HullError("invalid-argument", `${cause}/path: "${path}" is not an absolute path`);
  if (!bindsNodes || type === "p") {
    const fields = { rootSlot: SLOT.root, mode: kinds[type] | fileMode, major, minor, uid, gid, path };
    return [operation("mknodIn", fields, { cause })];
  }
  const place = { slot: SLOT.mount, rootSlot: SLOT.root, create: CREATE_FILE, mode: 0o666, flags: 0, path };
  return [
    operation("openTree", { slot: SLOT.mount, flags: OPEN_TREE_CLONE, path }, { cause }),
    operation("moveMountIn", place, { cause }),
  ];
}

/** Into the root. `noPivot`: for a root on the initial ramfs, which can't be taken off. */
export function enterRoot(root: string, how: "pivot" | "move" | "chroot"): Operation[] {
  const cause = "config.json /root/path";
  const chroot = operation("chroot", { rootSlot: SLOT.root }, { cause, subject: root });
  if (how === "pivot") return [operation("pivotRoot", { rootSlot: SLOT.root }, { cause, subject: root })];
  if (how === "chroot") return [chroot];
  return [operation("mount", { flags: MS_MOVE, source: root, target: "/" }, { cause }), chroot];
}

/** Once inside: what nobody in the container may write or see. */
export function closeRoot(spec: RuntimeSpec): Operation[] {
  const { maskedPaths, readonlyPaths, rootfsPropagation } = spec.linux;
  const flags = propagationFlags[rootfsPropagation];
  return [
    ...(flags === undefined
      ? []
      : [operation("propagation", { path: "/", flags }, { cause: "config.json /linux/rootfsPropagation" })]),
    ...(spec.root.readonly
      ? [operation("readonlyRoot", {}, { cause: "config.json /root/readonly", subject: "/" })]
      : []),
    ...(readonlyPaths.length > 0
      ? [operation("readonlyPaths", { paths: readonlyPaths }, { cause: "config.json /linux/readonlyPaths" })]
      : []),
    ...(maskedPaths.length > 0
      ? [operation("maskPaths", { paths: maskedPaths }, { cause: "config.json /linux/maskedPaths" })]
      : []),
  ];
}
