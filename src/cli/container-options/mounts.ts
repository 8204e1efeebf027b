/** -v, --mount and --tmpfs. What a -v means beyond its syntax is the engine's business, as with docker. */

import { builtins } from "../../platform/builtins.ts";
import { HullError } from "../../platform/errors.ts";
import { parseBool, parseBytes } from "../flags.ts";
import { pairsOf, parseCsvFields, splitPair } from "./csv.ts";

const refuse = (text: string): HullError => new HullError("invalid-argument", text);

export interface Mount {
  Type: string;
  Source?: string;
  Target?: string;
  ReadOnly?: boolean;
  Consistency?: string;
  BindOptions?: Record<string, unknown>;
  VolumeOptions?: {
    NoCopy?: boolean;
    Subpath?: string;
    Labels?: Record<string, string>;
    DriverConfig?: Record<string, unknown>;
  };
  TmpfsOptions?: { SizeBytes?: number; Mode?: number };
  ImageOptions?: { Subpath?: string };
}

/** A -v with a source is a bind ("src:dst[:mode]"); one path alone is an anonymous volume. Relative sources become absolute. */
export function parseVolumes(specs: readonly string[]): { binds: string[]; volumes: Record<string, object> } {
  const binds: string[] = [];
  const volumes: Record<string, object> = {};
  for (const spec of specs) {
    const parts = spec.split(":");
    if (parts.length > 3) throw refuse(`invalid spec: ${spec}: too many colons`);
    if (parts.length > 1 && parts.includes("")) throw refuse(`invalid spec: ${spec}: empty section between colons`);
    if (parts.length === 1) {
      if (spec === "") throw refuse("invalid empty volume spec");
      volumes[spec] = {};
    } else binds.push([localSource(parts[0]!), ...parts.slice(1)].join(":"));
  }
  return { binds, volumes };
}

function localSource(source: string): string {
  if (source.startsWith("~/")) return builtins.path.resolve(builtins.os.homedir(), source.slice(2));
  return /^\.{1,2}(\/|$)/.test(source) ? builtins.path.resolve(source) : source;
}

type Setter = (mount: Mount, value: string) => void;

const flagValue = (key: string, value: string): boolean => {
  const parsed = parseBool(value);
  if (parsed === undefined) throw refuse(`invalid value for ${key}: ${value}`);
  return parsed;
};

const volumeOptions = (mount: Mount) => (mount.VolumeOptions ??= {});
const bindOptions = (mount: Mount) => (mount.BindOptions ??= {});
const tmpfsOptions = (mount: Mount) => (mount.TmpfsOptions ??= {});

const source: Setter = (mount, value) => {
  mount.Source = mount.Type === "bind" || /^\.{1,2}(\/|$)/.test(value) ? localSource(value) : value;
};
const target: Setter = (mount, value) => {
  mount.Target = value;
};
const readOnly: Setter = (mount, value) => {
  mount.ReadOnly = flagValue("readonly", value);
};

const setters: Readonly<Record<string, Setter>> = {
  type: () => undefined,
  source,
  src: source,
  target,
  dst: target,
  destination: target,
  readonly: readOnly,
  ro: readOnly,
  consistency: (mount, value) => {
    mount.Consistency = value;
  },
  "bind-propagation": (mount, value) => {
    bindOptions(mount).Propagation = value;
  },
  "bind-nonrecursive": () => {
    throw refuse("bind-nonrecursive is deprecated, use bind-recursive=disabled instead");
  },
  "bind-recursive": (mount, value) => {
    const options = bindOptions(mount);
    if (value === "disabled") options.NonRecursive = true;
    else if (value === "writable") options.ReadOnlyNonRecursive = true;
    else if (value === "readonly") options.ReadOnlyForceRecursive = true;
    else if (value !== "enabled")
      throw refuse(
        `invalid value for bind-recursive: ${value} (must be "enabled", "disabled", "writable", or "readonly")`,
      );
  },
  "bind-create-src": (mount, value) => {
    bindOptions(mount).CreateMountpoint = flagValue("bind-create-src", value);
  },
  "volume-nocopy": (mount, value) => {
    volumeOptions(mount).NoCopy = flagValue("volume-nocopy", value);
  },
  "volume-subpath": (mount, value) => {
    volumeOptions(mount).Subpath = value;
  },
  "volume-label": (mount, value) => {
    const options = volumeOptions(mount);
    options.Labels = { ...options.Labels, ...pairsOf([value]) };
  },
  "volume-driver": (mount, value) => {
    const options = volumeOptions(mount);
    options.DriverConfig = { ...options.DriverConfig, Name: value };
  },
  "volume-opt": (mount, value) => {
    const options = volumeOptions(mount);
    const known = (options.DriverConfig?.Options ?? {}) as Record<string, string>;
    options.DriverConfig = { ...options.DriverConfig, Options: { ...known, ...pairsOf([value]) } };
  },
  "image-subpath": (mount, value) => {
    mount.ImageOptions = { Subpath: value };
  },
  "tmpfs-size": (mount, value) => {
    const bytes = parseBytes(value);
    if (bytes === undefined) throw refuse(`invalid value for tmpfs-size: ${value}`);
    tmpfsOptions(mount).SizeBytes = bytes;
  },
  "tmpfs-mode": (mount, value) => {
    if (!/^[0-7]+$/.test(value)) throw refuse(`invalid value for tmpfs-mode: ${value}`);
    tmpfsOptions(mount).Mode = Number.parseInt(value, 8);
  },
};

const bareFlags = new Set(["readonly", "ro", "volume-nocopy", "bind-create-src"]);

/** Throws invalid-argument in docker's words. */
export function parseMount(text: string): Mount {
  const fields = parseCsvFields(text).map(splitPair);
  const type = fields.filter(([key]) => key === "type").at(-1)?.[1] ?? "volume";
  const mount: Mount = { Type: type.toLowerCase() };
  for (const [key, value] of fields) {
    const setter = setters[key];
    if (value === undefined && !bareFlags.has(key)) throw refuse(`invalid field '${key}' must be a key=value pair`);
    if (!setter) throw refuse(`unexpected key '${key}' in '${key}=${value ?? ""}'`);
    setter(mount, value ?? "true");
  }
  check(mount);
  return mount;
}

function check(mount: Mount): void {
  if (mount.Type === "") throw refuse("type is required");
  if (mount.Target === undefined || mount.Target === "") throw refuse("target is required");
  if (mount.VolumeOptions && mount.Type !== "volume")
    throw refuse(`cannot mix 'volume-*' options with mount type '${mount.Type}'`);
  if (mount.BindOptions && mount.Type !== "bind")
    throw refuse(`cannot mix 'bind-*' options with mount type '${mount.Type}'`);
  if (mount.TmpfsOptions && mount.Type !== "tmpfs")
    throw refuse(`cannot mix 'tmpfs-*' options with mount type '${mount.Type}'`);
}

/** "/run:size=64m" lists to Docker's Tmpfs record. */
export const parseTmpfs = (specs: readonly string[]): Record<string, string> =>
  Object.fromEntries(
    specs.map((spec) => {
      const colon = spec.indexOf(":");
      return colon < 0 ? [spec, ""] : [spec.slice(0, colon), spec.slice(colon + 1)];
    }),
  );
