/** A mount's option strings sorted into what the kernel takes apart: attributes, propagation, data. Pure. */
import {
  MOUNT_ATTR_ATIME,
  MOUNT_ATTR_NOATIME,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NODIRATIME,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_NOSYMFOLLOW,
  MOUNT_ATTR_RDONLY,
  MOUNT_ATTR_STRICTATIME,
  MS_PRIVATE,
  MS_SHARED,
  MS_SLAVE,
  MS_UNBINDABLE,
} from "../kernel-constants.ts";

export interface Attributes {
  readonly set: number;
  readonly clear: number;
}

export interface MountOptions {
  readonly bind: boolean;
  /** rbind: with what is mounted below. */
  readonly recursiveBind: boolean;
  readonly attributes: Attributes;
  /** The attributes with a leading r: on everything below too. */
  readonly recursive: Attributes;
  readonly propagation: number;
  readonly propagationRecursive: boolean;
  /** Copies the image's files into a fresh tmpfs. */
  readonly copyUp: boolean;
  /** "key=value" or "flag", for the file system itself. */
  readonly data: readonly string[];
}

const atime = (set: number): Attributes => ({ set, clear: MOUNT_ATTR_ATIME });
const on = (bit: number): Attributes => ({ set: bit, clear: 0 });
const off = (bit: number): Attributes => ({ set: 0, clear: bit });

const attributeOf: Readonly<Record<string, Attributes>> = {
  ro: on(MOUNT_ATTR_RDONLY),
  rw: off(MOUNT_ATTR_RDONLY),
  nosuid: on(MOUNT_ATTR_NOSUID),
  suid: off(MOUNT_ATTR_NOSUID),
  nodev: on(MOUNT_ATTR_NODEV),
  dev: off(MOUNT_ATTR_NODEV),
  noexec: on(MOUNT_ATTR_NOEXEC),
  exec: off(MOUNT_ATTR_NOEXEC),
  noatime: atime(MOUNT_ATTR_NOATIME),
  atime: atime(0),
  relatime: atime(0),
  norelatime: atime(0),
  strictatime: atime(MOUNT_ATTR_STRICTATIME),
  nostrictatime: atime(0),
  nodiratime: on(MOUNT_ATTR_NODIRATIME),
  diratime: off(MOUNT_ATTR_NODIRATIME),
  nosymfollow: on(MOUNT_ATTR_NOSYMFOLLOW),
  symfollow: off(MOUNT_ATTR_NOSYMFOLLOW),
};

const propagationOf: Readonly<Record<string, number>> = {
  private: MS_PRIVATE,
  shared: MS_SHARED,
  slave: MS_SLAVE,
  unbindable: MS_UNBINDABLE,
};

/** Options that say nothing here: the defaults, and mount(8)'s own words. */
const ignored = new Set([
  "defaults",
  "remount",
  "z",
  "Z",
  "async",
  "nomand",
  "loud",
  "norbind",
  "nobind",
  "consistent",
  "cached",
  "delegated",
]);

const merge = (a: Attributes, b: Attributes): Attributes => ({
  set: (a.set & ~b.clear & ~(b.set & MOUNT_ATTR_ATIME ? MOUNT_ATTR_ATIME : 0)) | b.set,
  clear: (a.clear & ~b.set) | b.clear,
});

export function parseMountOptions(options: readonly string[]): MountOptions {
  let attributes: Attributes = { set: 0, clear: 0 };
  let recursive: Attributes = { set: 0, clear: 0 };
  let propagation = 0;
  let propagationRecursive = false;
  const data: string[] = [];
  for (const option of options) {
    const plain = option.startsWith("r") ? option.slice(1) : "";
    if (Object.hasOwn(attributeOf, option)) attributes = merge(attributes, attributeOf[option]!);
    else if (Object.hasOwn(attributeOf, plain)) recursive = merge(recursive, attributeOf[plain]!);
    else if (Object.hasOwn(propagationOf, option) || Object.hasOwn(propagationOf, plain)) {
      propagation = propagationOf[option] ?? propagationOf[plain]!;
      propagationRecursive = !Object.hasOwn(propagationOf, option);
    } else if (!ignored.has(option) && !["bind", "rbind", "tmpcopyup"].includes(option)) data.push(option);
  }
  return {
    bind: options.includes("bind") || options.includes("rbind"),
    recursiveBind: options.includes("rbind"),
    attributes,
    recursive,
    propagation,
    propagationRecursive,
    copyUp: options.includes("tmpcopyup"),
    data,
  };
}
