/** The volumes of this engine. Memory is the store's image; writers of one name follow one another. */
import { randomBytes } from "node:crypto";
import { again } from "../../keel/again.ts";
import { HullError } from "../../platform/errors.ts";
import type { EventBus } from "../events/api.ts";
import { timeNow } from "../time.ts";
import type { NewVolume, Volume, VolumeService } from "./api.ts";
import type { VolumeDisk } from "./disk.ts";
import { checkDriverOptions } from "./mount-options.ts";
import type { VolumeStore } from "./store.ts";

const ANONYMOUS_LABEL = "com.docker.volume.anonymous";

export interface VolumeParts {
  readonly store: VolumeStore;
  readonly disk: VolumeDisk;
  readonly events: EventBus;
  /** Told when a deletion in the background failed. */
  readonly onFailure: (what: string, error: unknown) => void;
}

export class LocalVolumes implements VolumeService {
  readonly #volumes = new Map<string, Volume>();
  /** Containers that refer to a volume. */
  readonly #references = new Map<string, Set<string>>();
  /** Containers whose process uses a volume with driver options. */
  readonly #mounted = new Map<string, Set<string>>();
  readonly #queues = new Map<string, Promise<unknown>>();

  constructor(private readonly parts: VolumeParts) {
    for (const volume of parts.store.readAll()) this.#volumes.set(volume.name, volume);
    for (const path of parts.store.leftovers()) this.#deleteLater(path);
  }

  find(name: string): Volume | undefined {
    return this.#volumes.get(name);
  }

  get(name: string): Volume {
    const volume = this.#volumes.get(name);
    if (!volume) throw new HullError("not-found", `get ${name}: no such volume`);
    return volume;
  }

  list(): readonly Volume[] {
    return [...this.#volumes.values()];
  }

  create(wanted: NewVolume): Promise<Volume> {
    const anonymous = wanted.name === "";
    const name = anonymous ? randomBytes(32).toString("hex") : wanted.name;
    return this.#inTurn(name, async () => {
      const existing = this.#volumes.get(name);
      if (existing) return existing;
      checkNew(name, wanted);
      const volume: Volume = {
        name,
        driver: "local",
        mountpoint: this.parts.store.mountpoint(name),
        labels: anonymous ? { ...wanted.labels, [ANONYMOUS_LABEL]: "" } : wanted.labels,
        options: wanted.driverOpts,
        createdAt: timeNow().replace(/\.\d+Z$/, "Z"),
        anonymous,
        ...(anonymous && wanted.owner !== undefined && { owner: wanted.owner }),
      };
      await this.parts.store.create(volume);
      this.#volumes.set(name, volume);
      this.#publish("create", name);
      return volume;
    });
  }

  acquire(name: string, containerId: string): Volume {
    const volume = this.get(name);
    const holders = this.#references.get(name) ?? new Set();
    this.#references.set(name, holders.add(containerId));
    return volume;
  }

  release(name: string, containerId: string): void {
    this.#references.get(name)?.delete(containerId);
  }

  /** Containers that refer to it. */
  users(name: string): readonly string[] {
    return [...(this.#references.get(name) ?? [])];
  }

  async mount(name: string, containerId: string): Promise<string> {
    const volume = this.get(name);
    if (volume.options.type === undefined) return volume.mountpoint;
    return this.#inTurn(name, async () => {
      const users = this.#mounted.get(name) ?? new Set();
      if (!(await this.parts.disk.isMounted(volume.mountpoint))) await this.parts.disk.mount(volume);
      this.#mounted.set(name, users.add(containerId));
      return volume.mountpoint;
    });
  }

  async unmount(name: string, containerId: string): Promise<void> {
    const volume = this.#volumes.get(name);
    if (volume?.options.type === undefined) return;
    await this.#inTurn(name, async () => {
      const users = this.#mounted.get(name);
      users?.delete(containerId);
      if (users === undefined || users.size === 0) await this.parts.disk.unmount(volume);
    });
  }

  async copyUp(name: string, fromDirectory: string): Promise<boolean> {
    const { mountpoint } = this.get(name);
    return this.#inTurn(name, async () => {
      return (await this.parts.disk.isEmpty(mountpoint)) && (await this.parts.disk.copy(fromDirectory, mountpoint));
    });
  }

  remove(name: string, force: boolean): Promise<void> {
    return this.#inTurn(name, async () => {
      if (force && !this.#volumes.has(name)) return;
      const volume = this.get(name);
      const users = this.users(name);
      if (users.length > 0) {
        throw new HullError("conflict", `remove ${name}: volume is in use - [${users.join(", ")}]`);
      }
      if (volume.options.type !== undefined) await this.parts.disk.unmount(volume);
      const rest = await this.parts.store.detach(name);
      this.#volumes.delete(name);
      this.#references.delete(name);
      this.#mounted.delete(name);
      this.#publish("destroy", name);
      this.#deleteLater(rest);
    });
  }

  async disown(name: string): Promise<void> {
    await this.#inTurn(name, async () => {
      const volume = this.#volumes.get(name);
      if (volume?.owner === undefined) return;
      const { owner: _, ...free } = volume;
      await this.parts.store.update(free);
      this.#volumes.set(name, free);
    });
  }

  async removeOrphans(isThere: (containerId: string) => boolean): Promise<void> {
    for (const { name, owner } of this.list())
      if (owner !== undefined && !isThere(owner) && this.users(name).length === 0) await this.remove(name, true);
  }

  usage(volumes: readonly Volume[]): Promise<number[]> {
    return this.parts.disk.usage(volumes.map((volume) => volume.mountpoint));
  }

  #publish(action: string, name: string): void {
    this.parts.events.publish({ type: "volume", action, id: name, attributes: { driver: "local" } });
  }

  #deleteLater(path: string): void {
    again(() => this.parts.disk.remove(path)).catch((error) => this.parts.onFailure(`delete ${path}`, error));
  }

  #inTurn<T>(name: string, body: () => Promise<T>): Promise<T> {
    const turn = (this.#queues.get(name) ?? Promise.resolve()).then(body, body);
    this.#queues.set(name, turn);
    const forget = () => {
      if (this.#queues.get(name) === turn) this.#queues.delete(name);
    };
    turn.then(forget, forget);
    return turn;
  }
}

function checkNew(name: string, wanted: NewVolume): void {
  const bad = (message: string) => new HullError("invalid-argument", `create ${name}: ${message}`);
  if (wanted.driver !== "" && wanted.driver !== "local") {
    const message = `create ${name}: error looking up volume plugin ${wanted.driver}: plugin "${wanted.driver}" not found`;
    throw new HullError("not-found", message);
  }
  if (name.length === 1) throw bad("volume name is too short, names should be at least two alphanumeric characters");
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(name) || name.length > 255) {
    throw bad(
      `${JSON.stringify(name)} includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
    );
  }
  try {
    checkDriverOptions(wanted.driverOpts);
  } catch (error) {
    throw bad((error as Error).message);
  }
}
