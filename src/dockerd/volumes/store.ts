/** Volumes on disk: `<root>/<name>/{_data,opts.json}`. The directory is the truth; what lacks opts.json is a plain volume. */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { HullError } from "../../platform/errors.ts";
import { isNoSpace, type Reserve } from "../../platform/reserve.ts";
import { replaceNow, syncDirectory, writeJsonDurably } from "../stored-json.ts";
import type { Volume } from "./api.ts";

const SCHEMA = 1;

/** opts.json: Docker's fields of the local driver, and ours. */
interface StoredVolume {
  readonly schema: number;
  readonly MountType: string;
  readonly MountOpts: string;
  readonly MountDevice: string;
  readonly createdAt: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly anonymous: boolean;
  readonly owner?: string;
}

const making = ".making-";
const removing = ".removing-";

export class VolumeStore {
  constructor(
    readonly root: string,
    private readonly reserve: Reserve,
  ) {
    mkdirSync(root, { recursive: true, mode: 0o701 });
  }

  readAll(): Volume[] {
    return readdirSync(this.root)
      .filter((name) => !name.startsWith(".") && existsSync(join(this.root, name, "_data")))
      .map((name) => this.#read(name));
  }

  /** Directories of interrupted creations and removals. */
  leftovers(): string[] {
    return readdirSync(this.root)
      .filter((name) => name.startsWith(making) || name.startsWith(removing))
      .map((name) => join(this.root, name));
  }

  /** A new one, whole or not at all. */
  async create(volume: Volume): Promise<void> {
    const directory = join(this.root, volume.name);
    // Somebody's own directory: taken as it is.
    if (existsSync(directory)) return this.#fill(directory, volume);
    const temporary = join(this.root, `${making}${volume.name}`);
    try {
      await this.#fill(temporary, volume);
      await rename(temporary, directory);
      await syncDirectory(this.root);
    } catch (error) {
      await rm(temporary, { recursive: true, force: true });
      throw error;
    }
  }

  /** On a full disk in the room kept for it. */
  async update(volume: Volume): Promise<void> {
    const path = join(this.root, volume.name, "opts.json");
    try {
      await writeJsonDurably(path, toStored(volume));
    } catch (error) {
      if (!isNoSpace(error)) throw error;
      this.reserve.run(() => replaceNow(path, `${JSON.stringify(toStored(volume))}\n`));
    }
  }

  async #fill(directory: string, volume: Volume): Promise<void> {
    await mkdir(join(directory, "_data"), { recursive: true, mode: 0o755 });
    await writeJsonDurably(join(directory, "opts.json"), toStored(volume));
  }

  /** Takes the volume out of the namespace at once; returns what is left to delete. */
  async detach(name: string): Promise<string> {
    const target = join(this.root, `${removing}${name}-${Date.now().toString(36)}`);
    await rename(join(this.root, name), target);
    return target;
  }

  mountpoint(name: string): string {
    return join(this.root, name, "_data");
  }

  #read(name: string): Volume {
    const path = join(this.root, name, "opts.json");
    const plain: StoredVolume = {
      schema: SCHEMA,
      MountType: "",
      MountOpts: "",
      MountDevice: "",
      createdAt: statSync(join(this.root, name)).mtime.toISOString(),
      labels: {},
      anonymous: false,
    };
    const stored = existsSync(path) ? parse(path) : plain;
    return {
      name,
      driver: "local",
      mountpoint: this.mountpoint(name),
      labels: stored.labels,
      options: optionsOf(stored),
      createdAt: stored.createdAt,
      anonymous: stored.anonymous,
      ...(stored.owner !== undefined && { owner: stored.owner }),
    };
  }
}

function parse(path: string): StoredVolume {
  let stored: StoredVolume;
  try {
    stored = JSON.parse(readFileSync(path, "utf8")) as StoredVolume;
  } catch (error) {
    throw new HullError("failed-precondition", `${path} is not valid JSON: repair it, or move the volume away`, {
      cause: error,
    });
  }
  if (stored.schema !== SCHEMA) {
    throw new HullError(
      "failed-precondition",
      `${path} has schema ${stored.schema}, this version knows ${SCHEMA}: use the newer hulld, or move the volume away`,
    );
  }
  return stored;
}

function toStored(volume: Volume): StoredVolume {
  return {
    schema: SCHEMA,
    MountType: volume.options.type ?? "",
    MountOpts: volume.options.o ?? "",
    MountDevice: volume.options.device ?? "",
    createdAt: volume.createdAt,
    labels: volume.labels,
    anonymous: volume.anonymous,
    ...(volume.owner !== undefined && { owner: volume.owner }),
  };
}

function optionsOf(stored: StoredVolume): Record<string, string> {
  const pairs: readonly (readonly [string, string])[] = [
    ["type", stored.MountType],
    ["o", stored.MountOpts],
    ["device", stored.MountDevice],
  ];
  return Object.fromEntries(pairs.filter(([, value]) => value !== ""));
}
