/** What mounts a container asks for: -v, --mount, VolumesFrom and the image's volumes as one list of wanted mounts. Pure. */
import type { MountConfig } from "../config.ts";
import { invalid } from "./refusal.ts";
import { cleanPath } from "./settings.ts";

interface Wanted {
  readonly destination: string;
  readonly writable: boolean;
  /** As inspect shows it: "ro", "z", "". */
  readonly mode: string;
}

export interface WantedBind extends Wanted {
  readonly kind: "bind";
  readonly source: string;
  readonly propagation: string;
  /** -v makes a missing directory; --mount refuses. */
  readonly createSource: boolean;
  readonly nonRecursive: boolean;
  readonly recursiveReadOnly: "try" | "force" | "no";
}

export interface WantedVolume extends Wanted {
  readonly kind: "volume";
  /** Empty: an anonymous one is made. */
  readonly name: string;
  readonly driver: string;
  readonly driverOptions: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** Fill an empty volume with what the image has there. */
  readonly copy: boolean;
  readonly subpath: string;
}

export interface WantedTmpfs extends Wanted {
  readonly kind: "tmpfs";
  /** Mount data: "size=64m,mode=1770". */
  readonly options: string;
}

export type WantedMount = WantedBind | WantedVolume | WantedTmpfs;

const propagations = new Set(["private", "rprivate", "shared", "rshared", "slave", "rslave"]);
const modeGroups: readonly ReadonlySet<string>[] = [
  new Set(["rw", "ro"]),
  new Set(["z", "Z"]),
  propagations,
  new Set(["nocopy"]),
  new Set(["consistent", "cached", "delegated"]),
];
const volumeName = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

/** "source:destination[:mode]" of -v. Throws invalid-argument in Docker's words. */
export function parseBind(spec: string, volumeDriver: string): WantedBind | WantedVolume {
  const parts = spec.split(":");
  const [source = "", target = "", mode = ""] = parts;
  if (parts.length > 3 || parts.some((part, i) => part === "" && i < 2))
    throw invalid(`invalid volume specification: '${spec}'`);
  if (parts.length === 1) return anonymousVolume(checkedTarget(source, "volume", spec), volumeDriver);
  const flags = mode === "" ? [] : mode.split(",");
  checkModes(flags, mode);
  const writable = !flags.includes("ro");
  if (!source.startsWith("/")) return namedVolume({ source, target, flags, mode, writable, volumeDriver, spec });
  return {
    kind: "bind",
    source: cleanPath(source),
    destination: checkedTarget(target, "bind", spec),
    writable,
    mode,
    propagation: flags.find((flag) => propagations.has(flag)) ?? "rprivate",
    createSource: true,
    nonRecursive: false,
    recursiveReadOnly: "try",
  };
}

interface NamedParts {
  readonly source: string;
  readonly target: string;
  readonly flags: readonly string[];
  readonly mode: string;
  readonly writable: boolean;
  readonly volumeDriver: string;
  readonly spec: string;
}

function namedVolume(parts: NamedParts): WantedVolume {
  if (!volumeName.test(parts.source))
    throw invalid(
      `create ${parts.source}: "${parts.source}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
    );
  if (parts.flags.some((flag) => propagations.has(flag))) throw invalid(`invalid mode: ${parts.mode}`);
  return {
    kind: "volume",
    name: parts.source,
    destination: checkedTarget(parts.target, "volume", parts.spec),
    writable: parts.writable,
    mode: parts.mode || "z",
    driver: parts.volumeDriver,
    driverOptions: {},
    labels: {},
    copy: !parts.flags.includes("nocopy"),
    subpath: "",
  };
}

function checkModes(flags: readonly string[], mode: string): void {
  const counts = modeGroups.map((group) => flags.filter((flag) => group.has(flag)).length);
  const known = counts.reduce((sum, count) => sum + count, 0);
  if (known !== flags.length || counts.some((count) => count > 1)) throw invalid(`invalid mode: ${mode}`);
}

function checkedTarget(target: string, type: string, spec: string): string {
  const reason = targetFault(target);
  if (reason)
    throw invalid(`invalid volume specification: '${spec}': invalid mount config for type "${type}": ${reason}`);
  return cleanPath(target);
}

function targetFault(target: string): string | undefined {
  if (target === "") return "field Target must not be empty";
  if (!target.startsWith("/")) return `invalid mount path: '${target}' mount path must be absolute`;
  if (cleanPath(target) === "/") return "invalid specification: destination can't be '/'";
  return undefined;
}

export const anonymousVolume = (destination: string, driver: string): WantedVolume => ({
  kind: "volume",
  name: "",
  destination: cleanPath(destination),
  writable: true,
  mode: "",
  driver,
  driverOptions: {},
  labels: {},
  copy: true,
  subpath: "",
});

/** One --mount. Throws invalid-argument in Docker's words. */
export function parseMountConfig(mount: MountConfig, volumeDriver: string): WantedMount {
  const refuse = (reason: string) => invalid(`invalid mount config for type "${mount.Type}": ${reason}`);
  const fault = targetFault(mount.Target);
  if (fault) throw refuse(fault);
  const exclusive = (
    [
      ["BindOptions", "bind"],
      ["VolumeOptions", "volume"],
      ["TmpfsOptions", "tmpfs"],
      ["ImageOptions", "image"],
    ] as const
  ).find(([field, type]) => mount[field] !== undefined && mount.Type !== type);
  if (exclusive) throw refuse(`field ${exclusive[0]} must not be specified`);
  const base = { destination: cleanPath(mount.Target), writable: mount.ReadOnly !== true };
  if (mount.Type === "bind") return { ...base, ...bindOf(mount, refuse) };
  if (mount.Type === "volume") return { ...base, ...volumeOf(mount, volumeDriver, refuse) };
  if (mount.Type === "tmpfs") return { ...base, ...tmpfsOf(mount, refuse) };
  if (mount.Type === "image") throw refuse("mounting images is not supported yet");
  throw invalid(`invalid mount config for type "${mount.Type}": mount type unknown`);
}

type Refuse = (reason: string) => Error;

function bindOf(mount: MountConfig, refuse: Refuse): Omit<WantedBind, keyof Wanted> & Pick<Wanted, "mode"> {
  const options = mount.BindOptions;
  if (!mount.Source) throw refuse("field Source must not be empty");
  if (!mount.Source.startsWith("/")) throw refuse(`invalid mount path: '${mount.Source}' mount path must be absolute`);
  const propagation = options?.Propagation || "rprivate";
  if (!propagations.has(propagation)) throw refuse(`invalid propagation mode: ${propagation}`);
  if (options?.ReadOnlyForceRecursive && options.ReadOnlyNonRecursive)
    throw refuse("ReadOnlyForceRecursive and ReadOnlyNonRecursive are mutually exclusive");
  return {
    kind: "bind",
    source: cleanPath(mount.Source),
    mode: "",
    propagation,
    createSource: options?.CreateMountpoint === true,
    nonRecursive: options?.NonRecursive === true,
    recursiveReadOnly: options?.ReadOnlyForceRecursive ? "force" : options?.ReadOnlyNonRecursive ? "no" : "try",
  };
}

function volumeOf(
  mount: MountConfig,
  volumeDriver: string,
  refuse: Refuse,
): Omit<WantedVolume, keyof Wanted> & Pick<Wanted, "mode"> {
  const options = mount.VolumeOptions;
  const name = mount.Source ?? "";
  if (name !== "" && !volumeName.test(name))
    throw invalid(
      `create ${name}: "${name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
    );
  if (name === "" && mount.ReadOnly) throw refuse("must not set ReadOnly mode when using anonymous volumes");
  const subpath = options?.Subpath ?? "";
  if (subpath !== "" && name === "") throw refuse("must not set Subpath when using anonymous volumes");
  if (subpath.startsWith("/") || subpath.split("/").includes(".."))
    throw refuse("subpath must be a relative path within the volume");
  return {
    kind: "volume",
    name,
    mode: "z",
    driver: options?.DriverConfig?.Name || volumeDriver,
    driverOptions: options?.DriverConfig?.Options ?? {},
    labels: options?.Labels ?? {},
    copy: options?.NoCopy !== true,
    subpath,
  };
}

function tmpfsOf(mount: MountConfig, refuse: Refuse): Omit<WantedTmpfs, keyof Wanted> & Pick<Wanted, "mode"> {
  if (mount.Source) throw refuse("field Source must not be specified");
  const { SizeBytes: size = 0, Mode: mode = 0, Options: extra = [] } = mount.TmpfsOptions ?? {};
  if (size < 0) throw refuse("size must be a positive number");
  const options = [
    ...(mount.ReadOnly ? ["ro"] : []),
    ...(mode > 0 ? [`mode=${mode.toString(8)}`] : []),
    ...(size > 0 ? [`size=${size}`] : []),
    ...extra.map((pair) => pair.join("=")),
  ];
  return { kind: "tmpfs", mode: "", options: options.join(",") };
}
