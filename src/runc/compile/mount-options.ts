/** A mount's option strings sorted into what the kernel takes apart: attributes, propagation, data (config.md, "Linux mount options"). Pure. */
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

/** MOUNT_ATTR bits for mount_setattr(2). Access time is one field: to set it is to clear it first. */
export interface Attributes {
  readonly set: number;
  readonly clear: number;
}

export interface Propagation {
  readonly kind: number;
  readonly recursive: boolean;
}

export interface MountOptions {
  readonly bind: "no" | "bind" | "rbind";
  /** Changes a mount that is there already. */
  readonly remount: boolean;
  readonly attributes: Attributes;
  /** The attributes with a leading r: on everything below too. */
  readonly recursive: Attributes;
  readonly propagation: readonly Propagation[];
  /** Copies the image's files into a fresh tmpfs. */
  readonly copyUp: boolean;
  readonly idmap: "no" | "idmap" | "ridmap";
  /** For the file system itself, in pairs; a flag has an empty value. */
  readonly data: readonly (readonly [key: string, value: string])[];
}

const atime = (set: number): Attributes => ({ set, clear: MOUNT_ATTR_ATIME });
const on = (bit: number): Attributes => ({ set: bit, clear: 0 });
const off = (bit: number): Attributes => ({ set: 0, clear: bit });

const attributeOf = new Map<string, Attributes>([
  ["ro", on(MOUNT_ATTR_RDONLY)],
  ["rw", off(MOUNT_ATTR_RDONLY)],
  ["nosuid", on(MOUNT_ATTR_NOSUID)],
  ["suid", off(MOUNT_ATTR_NOSUID)],
  ["nodev", on(MOUNT_ATTR_NODEV)],
  ["dev", off(MOUNT_ATTR_NODEV)],
  ["noexec", on(MOUNT_ATTR_NOEXEC)],
  ["exec", off(MOUNT_ATTR_NOEXEC)],
  ["noatime", atime(MOUNT_ATTR_NOATIME)],
  ["atime", atime(0)],
  ["relatime", atime(0)],
  ["norelatime", atime(0)],
  ["strictatime", atime(MOUNT_ATTR_STRICTATIME)],
  ["nostrictatime", atime(0)],
  ["nodiratime", on(MOUNT_ATTR_NODIRATIME)],
  ["diratime", off(MOUNT_ATTR_NODIRATIME)],
  ["nosymfollow", on(MOUNT_ATTR_NOSYMFOLLOW)],
  ["symfollow", off(MOUNT_ATTR_NOSYMFOLLOW)],
]);

const propagationOf = new Map([
  ["private", MS_PRIVATE],
  ["shared", MS_SHARED],
  ["slave", MS_SLAVE],
  ["unbindable", MS_UNBINDABLE],
]);

/** Defaults, what mount_setattr has no bit for, and words of other tools that mean nothing to the kernel. */
const ignored = new Set([
  "defaults",
  "async",
  "nomand",
  "mand",
  "loud",
  "silent",
  "iversion",
  "noiversion",
  "nolazytime",
  "z",
  "Z",
  "consistent",
  "cached",
  "delegated",
]);

/** Later options win. */
const merge = (a: Attributes, b: Attributes): Attributes => ({
  set: (a.set & ~b.clear) | b.set,
  clear: (a.clear & ~b.set) | b.clear,
});

const none: Attributes = { set: 0, clear: 0 };

interface Draft {
  bind: MountOptions["bind"];
  remount: boolean;
  attributes: Attributes;
  recursive: Attributes;
  propagation: Propagation[];
  copyUp: boolean;
  idmap: MountOptions["idmap"];
  data: (readonly [string, string])[];
}

function take(draft: Draft, option: string): void {
  const plain = option.startsWith("r") ? option.slice(1) : "";
  const attribute = attributeOf.get(option);
  const recursive = attributeOf.get(plain);
  const kind = propagationOf.get(option) ?? propagationOf.get(plain);
  if (option === "bind" || option === "rbind") draft.bind = option;
  else if (option === "remount") draft.remount = true;
  else if (option === "tmpcopyup") draft.copyUp = true;
  else if (option === "idmap" || option === "ridmap") draft.idmap = option;
  else if (attribute) draft.attributes = merge(draft.attributes, attribute);
  else if (recursive) draft.recursive = merge(draft.recursive, recursive);
  else if (kind !== undefined) draft.propagation.push({ kind, recursive: !propagationOf.has(option) });
  else if (!ignored.has(option) && option !== "") draft.data.push(splitOption(option));
}

/** "key=value" or "flag". */
function splitOption(option: string): readonly [string, string] {
  const equals = option.indexOf("=");
  return equals < 0 ? [option, ""] : [option.slice(0, equals), option.slice(equals + 1)];
}

export function parseMountOptions(options: readonly string[]): MountOptions {
  const draft: Draft = {
    bind: "no",
    remount: false,
    attributes: none,
    recursive: none,
    propagation: [],
    copyUp: false,
    idmap: "no",
    data: [],
  };
  for (const option of options) take(draft, option);
  return draft;
}
