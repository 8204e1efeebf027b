/**
 * Makes what a container's mounts need at create: volumes exist and are referred to, bind sources are checked, the list that inspect
 * shows is complete. Order of precedence: image volumes < --mount and -v < (nothing); VolumesFrom yields to both.
 */
import { mkdir, stat } from "node:fs/promises";
import { during } from "../../../platform/errors.ts";
import type { Volume, VolumeService } from "../../volumes/api.ts";
import type { ContainerConfig, HostConfig } from "../config.ts";
import type { ContainerMount, ContainerRecord } from "../record.ts";
import { anonymousVolume, parseBind, parseMountConfig, type WantedMount, type WantedVolume } from "./mount-spec.ts";
import { conflict, invalid } from "./refusal.ts";
import { cleanPath } from "./settings.ts";

export interface MountWishes {
  readonly config: ContainerConfig;
  readonly hostConfig: HostConfig;
  /** Resolves the containers of VolumesFrom. Throws not-found. */
  readonly lookUp: (reference: string) => ContainerRecord;
}

/** A wanted mount, or one taken over from another container. */
type Planned =
  | { readonly kind: "wanted"; readonly wanted: WantedMount }
  | { readonly kind: "taken"; readonly mount: ContainerMount };

/** Pure. Throws invalid-argument for duplicates and malformed ones. */
export function planMounts({ config, hostConfig, lookUp }: MountWishes): Planned[] {
  const driver = hostConfig.VolumeDriver || "local";
  const plan = new Map<string, Planned>();
  for (const spec of hostConfig.VolumesFrom ?? [])
    for (const mount of mountsFrom(spec, lookUp)) plan.set(mount.Destination, { kind: "taken", mount });
  const explicit = new Set(Object.keys(hostConfig.Tmpfs ?? {}).map(cleanPath));
  const wishes = [
    ...(hostConfig.Binds ?? []).map((spec) => parseBind(spec, driver)),
    ...(hostConfig.Mounts ?? []).map((mount) => parseMountConfig(mount, driver)),
  ];
  for (const wanted of wishes) {
    if (explicit.has(wanted.destination)) throw invalid(`Duplicate mount point: ${wanted.destination}`);
    explicit.add(wanted.destination);
    plan.set(wanted.destination, { kind: "wanted", wanted });
  }
  for (const path of Object.keys(config.Volumes ?? {})) {
    const wanted = anonymousVolume(path, driver);
    if (!plan.has(wanted.destination) && !explicit.has(wanted.destination))
      plan.set(wanted.destination, { kind: "wanted", wanted });
  }
  return [...plan.values()];
}

/** "container[:ro|rw|z|Z]" */
function mountsFrom(spec: string, lookUp: (reference: string) => ContainerRecord): ContainerMount[] {
  const [reference = "", mode = "rw", ...rest] = spec.split(":");
  if (reference === "" || rest.length > 0) throw invalid(`invalid volumes-from specification: '${spec}'`);
  if (!["ro", "rw", "z", "Z"].includes(mode)) throw invalid(`invalid mode: ${mode}`);
  return lookUp(reference)
    .mounts.filter((mount) => mount.Type !== "tmpfs")
    .map((mount) => ({
      ...mount,
      RW: mount.RW && mode !== "ro",
      Mode: mode === "rw" ? mount.Mode : mode,
      anonymous: false,
    }));
}

export interface MadeMounts {
  readonly mounts: readonly ContainerMount[];
  /** Volumes to be filled from the image: name and where it is mounted. */
  readonly copies: readonly { readonly volume: string; readonly path: string }[];
}

export interface MountMaking {
  readonly volumes: VolumeService;
  /** The container's. */
  readonly id: string;
  readonly undo: AsyncDisposableStack;
}

/** Makes the volumes and refers to them. What was made is undone through `undo` when a later step of the create fails. */
export async function makeMounts(plan: readonly Planned[], making: MountMaking): Promise<MadeMounts> {
  const mounts: ContainerMount[] = [];
  const copies: { volume: string; path: string }[] = [];
  for (const planned of plan) {
    if (planned.kind === "taken") {
      mounts.push(planned.mount);
      if (planned.mount.Type === "volume") refer(making, planned.mount.Name!);
    } else if (planned.wanted.kind === "volume") {
      const volume = await makeVolume(making, planned.wanted);
      refer(making, volume.name);
      mounts.push(volumeMount(planned.wanted, volume));
      if (planned.wanted.copy && planned.wanted.subpath === "")
        copies.push({ volume: volume.name, path: planned.wanted.destination });
    } else mounts.push(await plainMount(planned.wanted));
  }
  return { mounts, copies };
}

function refer({ volumes, id, undo }: MountMaking, name: string): void {
  volumes.acquire(name, id);
  undo.defer(() => volumes.release(name, id));
}

async function makeVolume({ volumes, id, undo }: MountMaking, wanted: WantedVolume): Promise<Volume> {
  const known = wanted.name === "" ? undefined : volumes.find(wanted.name);
  const volume = await volumes.create({
    name: wanted.name,
    driver: wanted.driver,
    driverOpts: wanted.driverOptions,
    labels: wanted.labels,
    owner: id,
  });
  if (!known) undo.defer(() => volumes.remove(volume.name, true));
  return volume;
}

const volumeMount = (wanted: WantedVolume, volume: Volume): ContainerMount => ({
  Type: "volume",
  Name: volume.name,
  Source: volume.mountpoint,
  Destination: wanted.destination,
  Driver: volume.driver,
  Mode: wanted.mode,
  RW: wanted.writable,
  Propagation: "",
  anonymous: wanted.name === "",
  subpath: wanted.subpath,
  nonRecursive: false,
  recursiveReadOnly: "try",
  tmpfsOptions: "",
});

async function plainMount(wanted: Exclude<WantedMount, WantedVolume>): Promise<ContainerMount> {
  const base = {
    Destination: wanted.destination,
    Mode: wanted.mode,
    RW: wanted.writable,
    anonymous: false,
    subpath: "",
  };
  if (wanted.kind === "tmpfs")
    return {
      ...base,
      Type: "tmpfs",
      Source: "",
      Propagation: "",
      nonRecursive: false,
      recursiveReadOnly: "no",
      tmpfsOptions: wanted.options,
    };
  if (!wanted.createSource && !(await exists(wanted.source))) throw sourceMissing(wanted.source);
  const { nonRecursive, recursiveReadOnly } = wanted;
  return {
    ...base,
    Type: "bind",
    Source: wanted.source,
    Propagation: wanted.propagation,
    nonRecursive,
    recursiveReadOnly,
    tmpfsOptions: "",
  };
}

const sourceMissing = (source: string): Error =>
  invalid(`invalid mount config for type "bind": bind source path does not exist: ${source}`);

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR"))
      return false;
    throw during(`look at bind source ${path}`, error);
  }
}

/** Before each start: -v makes a missing directory. Those of --mount were checked at create; when one went since, the start fails. */
export async function ensureBindSources({ mounts, hostConfig }: ContainerRecord): Promise<void> {
  const given = (hostConfig.Mounts ?? []).filter(({ BindOptions }) => BindOptions?.CreateMountpoint !== true);
  const mustExist = new Set(given.map(({ Target }) => cleanPath(Target)));
  for (const mount of mounts) {
    if (mount.Type !== "bind" || (await exists(mount.Source))) continue;
    if (mustExist.has(mount.Destination)) throw sourceMissing(mount.Source);
    try {
      await mkdir(mount.Source, { recursive: true, mode: 0o755 });
    } catch (error) {
      throw conflictOr(mount, error);
    }
  }
}

const conflictOr = (mount: ContainerMount, error: unknown): Error =>
  error instanceof Error && "code" in error && error.code === "EEXIST"
    ? conflict(`error while creating mount source path '${mount.Source}': mkdir ${mount.Source}: file exists`)
    : during(`error while creating mount source path '${mount.Source}'`, error);
