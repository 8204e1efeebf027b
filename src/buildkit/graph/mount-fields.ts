/** The fields of a --mount flag with BuildKit's rules for which of them go together. */

import { HullError } from "../../platform/errors.ts";
import type { RunMountFlag } from "../dockerfile/ast.ts";
import { didYouMean } from "../dockerfile/suggest.ts";

const types = ["bind", "cache", "tmpfs", "secret", "ssh"] as const;
const sharings = ["shared", "private", "locked"] as const;

export interface MountFields {
  readonly type: (typeof types)[number];
  readonly from: string;
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
  readonly sizeBytes: number;
  readonly id: string;
  readonly sharing: (typeof sharings)[number] | undefined;
  readonly required: boolean;
  /** Undefined: no variable is wanted. */
  readonly env: string | undefined;
  readonly mode: number | undefined;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
}

type Draft = { -readonly [Key in keyof MountFields]: MountFields[Key] } & { readOnlyGiven: boolean };

const bad = (message: string, token = ""): HullError =>
  new HullError("invalid-argument", message, { facts: { token } });

/** Throws invalid-argument in BuildKit's words. */
export function parseMountFields(fields: RunMountFlag["fields"]): MountFields {
  const draft: Draft = {
    type: "bind",
    from: "",
    source: "",
    target: "",
    readOnly: true,
    readOnlyGiven: false,
    sizeBytes: 0,
    id: "",
    sharing: undefined,
    required: false,
    env: undefined,
    mode: undefined,
    uid: undefined,
    gid: undefined,
  };
  for (const [key, value] of fields) {
    const set = Object.hasOwn(setters, key) ? setters[key] : undefined;
    if (set === undefined) {
      const text = `${key}=${value}`;
      throw bad(`unexpected key '${key}' in '${text}'${didYouMean(key, Object.keys(setters))}`, text);
    }
    set(draft, value, key);
  }
  const { readOnlyGiven, ...mount } = draft;
  check(mount);
  return readOnlyGiven ? mount : { ...mount, readOnly: mount.type !== "cache" && mount.type !== "tmpfs" };
}

type Setter = (draft: Draft, value: string, key: string) => void;

const source: Setter = (draft, value) => {
  draft.source = value;
};
const target: Setter = (draft, value) => {
  draft.target = value;
};
const readOnly: Setter = (draft, value, key) => {
  draft.readOnly = truth(value, key);
  draft.readOnlyGiven = true;
};
const writable: Setter = (draft, value, key) => {
  draft.readOnly = !truth(value, key);
  draft.readOnlyGiven = true;
};

const setters: Readonly<Record<string, Setter>> = {
  type: (draft, value) => {
    draft.type = oneOf(types, value, "unsupported mount type");
  },
  from: (draft, value) => {
    draft.from = value;
  },
  source,
  src: source,
  target,
  dst: target,
  destination: target,
  readonly: readOnly,
  ro: readOnly,
  readwrite: writable,
  rw: writable,
  required: (draft, value, key) => {
    onlyFor(draft, ["secret", "ssh"], key);
    draft.required = truth(value, key);
  },
  size: (draft, value, key) => {
    onlyFor(draft, ["tmpfs"], key);
    draft.sizeBytes = parseBytes(value) ?? fail(`invalid value for ${key}: ${value}`);
  },
  id: (draft, value) => {
    draft.id = value;
  },
  sharing: (draft, value) => {
    draft.sharing = oneOf(sharings, value, "unsupported sharing value");
  },
  mode: (draft, value) => {
    draft.mode = /^[0-7]{1,11}$/.test(value) ? Number.parseInt(value, 8) : fail(`invalid value ${value} for mode`);
  },
  uid: (draft, value) => {
    draft.uid = parseId(value, "uid");
  },
  gid: (draft, value) => {
    draft.gid = parseId(value, "gid");
  },
  env: (draft, value) => {
    draft.env = value;
  },
};

const fail = (message: string): never => {
  throw bad(message);
};

function onlyFor(draft: Draft, kinds: readonly string[], key: string): void {
  if (!kinds.includes(draft.type)) throw bad(`unexpected key '${key}' for mount type '${draft.type}'`, key);
}

function oneOf<Known extends string>(known: readonly Known[], value: string, message: string): Known {
  const found = known.find((one) => one === value.toLowerCase());
  return found ?? fail(`${message} "${value}"${didYouMean(value, known)}`);
}

function truth(value: string, key: string): boolean {
  if (/^(?:1|t|true)$/i.test(value)) return true;
  return /^(?:0|f|false)$/i.test(value) ? false : fail(`invalid value for ${key}: ${value}`);
}

const parseId = (value: string, key: string): number =>
  /^\d{1,10}$/.test(value) && Number(value) < 2 ** 32 ? Number(value) : fail(`invalid value ${value} for ${key}`);

const units: Readonly<Record<string, number>> = { b: 0, k: 1, m: 2, g: 3, t: 4, p: 5 };

/** "64m", "1GiB"; undefined for anything else. */
function parseBytes(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?) ?([kmgtpb])?(?:i?b)?$/i.exec(text);
  return match ? Math.floor(Number(match[1]) * 1024 ** units[(match[2] ?? "b").toLowerCase()]!) : undefined;
}

function check(mount: Omit<Draft, "readOnlyGiven">): void {
  const { type, sharing } = mount;
  if (type === "bind" || type === "tmpfs") {
    for (const key of ["mode", "uid", "gid"] as const) {
      if (mount[key] !== undefined) throw bad(`${key} not allowed for "${type}" type mounts`, key);
    }
  }
  if (type === "secret") checkSecret(mount);
  if (sharing !== undefined && type !== "cache") throw bad(`invalid cache sharing set for ${type} mount`);
}

function checkSecret(mount: Omit<Draft, "readOnlyGiven">): void {
  if (mount.from !== "") throw bad("secret mount should not have a from");
  if (mount.sharing !== undefined) throw bad("secret mount should not define sharing");
  if (mount.source === "" && mount.target === "" && mount.id === "") {
    throw bad("invalid secret mount. one of source, target required");
  }
  if (mount.source !== "" && mount.id !== "") throw bad("both source and id can't be set");
}
