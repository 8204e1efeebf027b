/** The mounts of config.json as operations in the new mount namespace, before pivot_root. Pure. */
import { isAbsolute, join, normalize } from "node:path";
import { NO_SLOT } from "../../keel/operations.ts";
import { type Operation, operation } from "../../keel/plan.ts";
import type { SpecMount } from "../../oci/runtime-spec.ts";
import { HullError } from "../../platform/errors.ts";
import { AT_RECURSIVE, MOUNT_ATTR_RDONLY, OPEN_TREE_CLONE } from "../kernel-constants.ts";
import { type CgroupMountContext, cgroupMounts } from "./cgroup-mounts.ts";
import { type Attributes, type MountOptions, type Propagation, parseMountOptions } from "./mount-options.ts";
import { LAST_SLOT, SLOT } from "./slots.ts";

export interface MountContext extends CgroupMountContext {
  readonly bundle: string;
  /** The new process lives in a user namespace: what it binds is opened before. */
  readonly opensEarly: boolean;
  /** sysfs can't be mounted by a process of a user namespace that does not own its network: the host's is bound. */
  readonly bindsSysfs: boolean;
}

export interface CompiledMounts {
  /** Before `clone`. */
  readonly early: readonly Operation[];
  readonly mounts: readonly Operation[];
  /** After devices and links were made in them: what becomes read-only. */
  readonly closing: readonly Operation[];
}

/** What moveMountIn makes where nothing is: what the mounted thing is. */
const CREATE_DIRECTORY = 2;
const CREATE_ALIKE = 3;
/** Flags of moveMountIn. */
const ORDINARY_DIRECTORY = 1;
const KEEP_MODE = 2;
const ON_PROC = 4;

interface One {
  readonly destination: string;
  readonly cause: string;
  readonly options: MountOptions;
  readonly mount: SpecMount;
}

export function compileMounts(context: MountContext, mounts: readonly SpecMount[]): CompiledMounts {
  const early: Operation[] = [];
  const made: Operation[] = [];
  const closing: Operation[] = [];
  for (const [i, mount] of mounts.entries()) {
    const cause = `config.json /mounts/${i}`;
    const destination = normalize(`/${mount.destination}`);
    const one: One = { mount, destination, cause, options: parseMountOptions(mount.options) };
    const { opens = [], operations, closes = [] } = compileOne(context, one, SLOT.binds + early.length);
    early.push(...opens);
    made.push(...operations);
    closing.push(...closes);
  }
  return { early, mounts: made, closing };
}

interface Compiled {
  readonly opens?: readonly Operation[];
  readonly operations: readonly Operation[];
  readonly closes?: readonly Operation[];
}

function compileOne(context: MountContext, one: One, earlySlot: number): Compiled {
  const { mount, options, destination, cause } = one;
  if (options.idmap !== "no" || mount.uidMappings.length > 0)
    throw new HullError("unimplemented", `${cause}: id-mapped mounts are not supported`);
  if (options.remount) return { operations: remount(one) };
  if (options.bind !== "no" || mount.type === "bind") return bind(context, one, earlySlot);
  if (mount.type === "cgroup" || mount.type === "cgroup2") return cgroup(context, one);
  if (mount.type === "sysfs" && context.bindsSysfs) {
    const source = { ...mount, source: "/sys", type: "bind" };
    return bind(context, { ...one, mount: source, options: { ...options, bind: "rbind" } }, earlySlot);
  }
  if (destination === "/proc" && mount.type !== "proc")
    throw new HullError("invalid-argument", `${cause}: "${mount.type}" cannot be mounted on /proc: only proc can`);
  return fileSystem(one);
}

/** Files of lxcfs, which may cover their counterparts in /proc. */
const coverable = new Set(
  ["cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo"].map((name) => `/proc/${name}`),
);

function bind(context: MountContext, { mount, destination, cause, options }: One, earlySlot: number): Compiled {
  if (mount.source === "") throw new HullError("invalid-argument", `${cause}/source: is empty`);
  const source = isAbsolute(mount.source) ? mount.source : join(context.bundle, mount.source);
  if (destination === "/proc" && source !== "/proc")
    throw new HullError("invalid-argument", `${cause}: "${destination}" cannot be mounted because it is inside /proc`);
  if (context.opensEarly && earlySlot > LAST_SLOT)
    throw new HullError(
      "resource-exhausted",
      `${cause}: more than ${LAST_SLOT - SLOT.binds + 1} binds in a user namespace`,
    );
  const slot = context.opensEarly ? earlySlot : SLOT.mount;
  const flags = OPEN_TREE_CLONE | (options.bind === "bind" ? 0 : AT_RECURSIVE);
  const open = operation("openTree", { slot, flags, path: source }, { cause, subject: source });
  const target = { destination, cause, create: CREATE_ALIKE, flags: coverable.has(destination) ? ON_PROC : 0 };
  const rest = [...attributeChanges(slot, { destination, cause, options }), attach(slot, target)];
  return context.opensEarly ? { opens: [open], operations: rest } : { operations: [open, ...rest] };
}

function fileSystem({ mount, destination, cause, options }: One): Compiled {
  const { type } = mount;
  if (type === "") throw new HullError("invalid-argument", `${cause}/type: is empty`);
  const kernel = type === "proc" || type === "sysfs";
  // Other mounts and devices may have to go into it first.
  const closesLater =
    (type === "tmpfs" || destination === "/dev") && (options.attributes.set & MOUNT_ATTR_RDONLY) !== 0;
  const attr = options.attributes.set & ~(closesLater ? MOUNT_ATTR_RDONLY : 0);
  const keepsMode = type === "tmpfs" && !options.data.some(([key]) => key === "mode");
  const subject = `${type} on ${destination}`;
  const slot = SLOT.mount;
  const operations = [
    operation(
      "fsmount",
      { slot, attr, type, source: mount.source || type, options: options.data.flat() },
      { cause, subject },
    ),
    ...propagate(slot, { destination, cause }, options.propagation),
    ...(options.copyUp ? [operation("copyUp", { slot, rootSlot: SLOT.root, path: destination }, { cause })] : []),
    attach(slot, {
      destination,
      cause,
      create: CREATE_DIRECTORY,
      flags: (kernel ? ORDINARY_DIRECTORY : 0) | (keepsMode ? KEEP_MODE : 0),
    }),
  ];
  return { operations, closes: closesLater ? closeMount(destination, cause) : [] };
}

function cgroup(context: MountContext, { destination, cause, options }: One): Compiled {
  const readonly = (options.attributes.set & MOUNT_ATTR_RDONLY) !== 0;
  const { operations, hasTmpfs } = cgroupMounts(context, { destination, cause, attributes: options.attributes.set });
  return { operations, closes: hasTmpfs && readonly ? closeMount(destination, cause) : [] };
}

/** Read-only from here on: the mount as it is reached from the root now. */
const closeMount = (destination: string, cause: string): Operation[] => [
  operation("openTreeIn", { slot: SLOT.mount, rootSlot: SLOT.root, flags: 0, path: destination }, { cause }),
  setattr(SLOT.mount, { set: MOUNT_ATTR_RDONLY, clear: 0 }, { cause, destination, recursive: false }),
];

const remount = ({ destination, cause, options }: One): Operation[] => [
  operation("openTreeIn", { slot: SLOT.mount, rootSlot: SLOT.root, flags: 0, path: destination }, { cause }),
  ...attributeChanges(SLOT.mount, { destination, cause, options }),
];

/** What options change on a tree before it is attached. */
function attributeChanges(
  slot: number,
  { destination, cause, options }: Pick<One, "destination" | "cause" | "options">,
): Operation[] {
  const { attributes, recursive, propagation } = options;
  const changes = ({ set, clear }: Attributes): boolean => set !== 0 || clear !== 0;
  return [
    ...(changes(attributes) ? [setattr(slot, attributes, { cause, destination, recursive: false })] : []),
    ...(changes(recursive) ? [setattr(slot, recursive, { cause, destination, recursive: true })] : []),
    ...propagate(slot, { destination, cause }, propagation),
  ];
}

interface Where {
  readonly destination: string;
  readonly cause: string;
}

const setattr = (slot: number, { set, clear }: Attributes, where: Where & { readonly recursive: boolean }): Operation =>
  operation(
    "mountSetattr",
    { slot, recursive: where.recursive ? 1 : 0, set, clear, propagation: 0, usernsSlot: NO_SLOT },
    { cause: where.cause, subject: where.destination },
  );

const propagate = (slot: number, where: Where, list: readonly Propagation[]): Operation[] =>
  list.map(({ kind, recursive }) =>
    operation(
      "mountSetattr",
      { slot, recursive: recursive ? 1 : 0, set: 0, clear: 0, propagation: kind, usernsSlot: NO_SLOT },
      { cause: where.cause, subject: where.destination },
    ),
  );

const attach = (slot: number, target: Where & { readonly create: number; readonly flags: number }): Operation =>
  operation(
    "moveMountIn",
    { slot, rootSlot: SLOT.root, create: target.create, mode: 0o755, flags: target.flags, path: target.destination },
    { cause: target.cause },
  );
