/** The mounts of config.json as operations in the new mount namespace, before pivot_root. */

import { NO_SLOT } from "../../keel/operations.ts";
import { type Operation, operation } from "../../keel/plan.ts";
import type { SpecMount } from "../../oci/runtime-spec.ts";
import { HullError } from "../../platform/errors.ts";
import type { CgroupLayout } from "../cgroups/layout.ts";
import { AT_RECURSIVE, MOUNT_ATTR_RDONLY, MS_PRIVATE, OPEN_TREE_CLONE } from "../kernel-constants.ts";
import { cgroupMountOperations } from "./cgroup-mounts.ts";
import { type Attributes, type MountOptions, parseMountOptions } from "./mount-options.ts";
import { LAST_SLOT, SLOT } from "./slots.ts";

export interface MountContext {
  /** Is the bind source a directory? Its target is made as what it is. */
  readonly isDirectory: (path: string) => boolean;
  readonly cgroup: CgroupLayout;
  readonly ownCgroupNamespace: boolean;
}

const CREATE_FILE = 1;
const CREATE_DIRECTORY = 2;
const ORDINARY_DIRECTORY = 1;
const DIRECTORY_MODE = 0o755;

export class MountCompiler {
  readonly #operations: Operation[] = [];
  /** Mounts that become read-only at the end. */
  readonly #deferred: Operation[] = [];
  #nextDeferred: number = SLOT.firstDeferred;

  constructor(private readonly context: MountContext) {}

  /** Operations for all mounts, then those that close what had to stay writable. */
  compile(mounts: readonly SpecMount[]): Operation[] {
    for (const [i, mount] of mounts.entries()) this.#add(mount, `config.json /mounts/${i}`);
    return [...this.#operations, ...this.#deferred];
  }

  #add(mount: SpecMount, cause: string): void {
    if (!mount.destination.startsWith("/")) {
      throw new HullError("invalid-argument", `${cause}/destination: ${mount.destination} is not absolute`);
    }
    const options = parseMountOptions(mount.options ?? []);
    if (options.bind || mount.type === "bind") this.#bind(mount, options, cause);
    else if (mount.type === "cgroup" || mount.type === "cgroup2") this.#cgroup(mount, options, cause);
    else this.#fileSystem(mount, options, cause);
  }

  #bind(mount: SpecMount, options: MountOptions, cause: string): void {
    const source = mount.source ?? "";
    const create = this.context.isDirectory(source) ? CREATE_DIRECTORY : CREATE_FILE;
    const recursive = options.recursiveBind || !mount.options?.includes("bind");
    const flags = OPEN_TREE_CLONE | (recursive ? AT_RECURSIVE : 0);
    this.#push(
      operation("openTree", { slot: SLOT.mount, flags, path: source }, { cause, subject: source }),
      ...attributeOperations(SLOT.mount, options, { cause, subject: mount.destination }),
      this.#attach(SLOT.mount, mount.destination, { cause, create }),
    );
  }

  #fileSystem(mount: SpecMount, options: MountOptions, cause: string): void {
    const type = mount.type ?? "none";
    const kernel = type === "proc" || type === "sysfs";
    const defer = type === "tmpfs" && (options.attributes.set & MOUNT_ATTR_RDONLY) !== 0;
    const slot = defer ? this.#deferredSlot(cause) : SLOT.mount;
    const attr = options.attributes.set & ~(defer ? MOUNT_ATTR_RDONLY : 0);
    const data = options.data.flatMap((option) => splitOption(option));
    const subject = mount.destination;
    this.#push(
      operation(
        "fsmount",
        { slot, attr, type, source: mount.source ?? type, options: data },
        { cause, subject: `${type} for ${subject}` },
      ),
      ...(options.propagation !== 0 ? [propagate(slot, options, { cause, subject })] : []),
    );
    if (options.copyUp)
      this.#push(operation("copyUp", { slot, rootSlot: SLOT.root, path: subject }, { cause, subject }));
    this.#push(
      this.#attach(slot, subject, { cause, create: CREATE_DIRECTORY, flags: kernel ? ORDINARY_DIRECTORY : 0 }),
    );
    if (defer) this.#deferReadOnly(slot, { cause, subject });
  }

  #cgroup(mount: SpecMount, options: MountOptions, cause: string): void {
    const { cgroup, ownCgroupNamespace } = this.context;
    const slot = this.#deferredSlot(cause);
    const made = cgroupMountOperations({
      destination: mount.destination,
      cause,
      slot,
      options,
      layout: cgroup,
      ownNamespace: ownCgroupNamespace,
    });
    this.#push(...made.operations);
    if (made.hasTmpfs && options.attributes.set & MOUNT_ATTR_RDONLY)
      this.#deferReadOnly(slot, { cause, subject: mount.destination });
  }

  #attach(slot: number, path: string, how: { cause: string; create: number; flags?: number }): Operation {
    const { cause, create, flags = 0 } = how;
    return operation(
      "moveMountIn",
      { slot, rootSlot: SLOT.root, create, mode: create === CREATE_FILE ? 0o644 : DIRECTORY_MODE, flags, path },
      { cause, subject: path },
    );
  }

  #deferredSlot(cause: string): number {
    if (this.#nextDeferred > LAST_SLOT)
      throw new HullError("resource-exhausted", `${cause}: too many read-only tmpfs mounts`);
    return this.#nextDeferred++;
  }

  #deferReadOnly(slot: number, why: { cause: string; subject: string }): void {
    const fields = { slot, recursive: 0, set: MOUNT_ATTR_RDONLY, clear: 0, propagation: 0, usernsSlot: NO_SLOT };
    this.#deferred.push(operation("mountSetattr", fields, why));
  }

  #push(...operations: Operation[]): void {
    this.#operations.push(...operations);
  }
}

interface Why {
  readonly cause: string;
  readonly subject: string;
}

/** What a bind's options change on the copied tree before it is attached. */
function attributeOperations(slot: number, options: MountOptions, why: Why): Operation[] {
  const { attributes, recursive } = options;
  const change = ({ set, clear }: Attributes, deep: boolean) =>
    operation("mountSetattr", { slot, recursive: deep ? 1 : 0, set, clear, propagation: 0, usernsSlot: NO_SLOT }, why);
  return [
    // A bind is private unless it asks: nothing that happens in the container shall reach the host.
    propagate(
      slot,
      options.propagation === 0 ? { ...options, propagation: MS_PRIVATE, propagationRecursive: true } : options,
      why,
    ),
    ...(attributes.set || attributes.clear ? [change(attributes, false)] : []),
    ...(recursive.set || recursive.clear ? [change(recursive, true)] : []),
  ];
}

function propagate(slot: number, options: MountOptions, why: Why): Operation {
  const fields = {
    slot,
    recursive: options.propagationRecursive ? 1 : 0,
    set: 0,
    clear: 0,
    propagation: options.propagation,
    usernsSlot: NO_SLOT,
  };
  return operation("mountSetattr", fields, why);
}

/** "key=value" -> [key, value]; "flag" -> [flag, ""]. */
function splitOption(option: string): [string, string] {
  const equals = option.indexOf("=");
  return equals < 0 ? [option, ""] : [option.slice(0, equals), option.slice(equals + 1)];
}
