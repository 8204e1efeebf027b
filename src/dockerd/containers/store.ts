/**
 * Records on disk: `<data-root>/containers/<id>/{config.v2.json,hostconfig.json}`.
 * Lifecycle of a record: `begin` (its directory, the host's part) -> `create` (durable from here on) -> `save` (rename, no fsync: after a power cut the state is looked up again) or
 * `settle` ... -> `remove`. It exists from the moment config.v2.json is there until that is deleted: a directory without it is what a
 * killed create or removal left, and goes with the next `load`.
 */
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { during, messageOf } from "../../platform/errors.ts";
import { isNoSpace, Reserve } from "../../platform/reserve.ts";
import { openDirectory, replaceNow } from "../stored-json.ts";
import type { ContainerRecord } from "./record.ts";
import { fromStored, toStored } from "./stored.ts";

export interface LoadedRecords {
  readonly records: readonly ContainerRecord[];
  /** Directories that hold no usable record, with the reason: reported, never touched. */
  readonly unreadable: readonly { readonly directory: string; readonly error: unknown }[];
}

export class ContainerStore {
  #writes = 0;
  #reserve: Reserve | undefined;
  /** What happened and could not be saved, to be saved when there is room. */
  readonly #owed = new Map<string, ContainerRecord>();

  constructor(
    private readonly root: string,
    private readonly warn: (message: string, fields: { readonly container: string }) => void,
  ) {}

  directoryOf(id: string): string {
    return `${this.root}/${id}`;
  }

  async load(): Promise<LoadedRecords> {
    await mkdir(this.root, { recursive: true, mode: 0o710 });
    this.#reserve = new Reserve(`${this.root}/reserve`);
    const names = (await readdir(this.root)).filter((name) => /^[0-9a-f]{64}$/.test(name));
    const ids = names.filter((id) => this.hasRecord(id));
    for (const id of names.filter((name) => !ids.includes(name)))
      await rm(this.directoryOf(id), { recursive: true }).catch((error: unknown) =>
        this.warn(`delete what was left of a container: ${messageOf(error)}`, { container: id }),
      );
    const results = await Promise.all(ids.map((id) => this.#read(this.directoryOf(id))));
    return {
      records: results.flatMap((result) => (result.kind === "read" ? [result.record] : [])),
      unreadable: results.flatMap((result) => (result.kind === "unreadable" ? [result] : [])),
    };
  }

  /** The directory, for what has to be in it before the record is, and the host's part, which nobody reads before. Undone by `remove`. */
  async begin(record: ContainerRecord): Promise<void> {
    try {
      await mkdir(record.directory, { mode: 0o710 });
    } catch (error) {
      throw during(`create container directory ${record.directory}`, error);
    }
    await this.#replace(`${record.directory}/hostconfig.json`, JSON.stringify(record.hostConfig), true);
  }

  /** From here on it exists, also after a power cut. */
  async create(record: ContainerRecord): Promise<void> {
    const opening = openDirectory(record.directory);
    const written = this.#replace(`${record.directory}/config.v2.json`, toStored(record), true);
    await Promise.allSettled([opening, written]);
    using directory = await opening;
    await written;
    await directory.sync();
  }

  async save(record: ContainerRecord): Promise<void> {
    await this.#replace(`${record.directory}/config.v2.json`, toStored(record), false);
    this.#owed.delete(record.id);
    this.#payBack();
  }

  /** With the host's part, which comes last: when it can't be written, nothing has changed. */
  async saveAll(record: ContainerRecord): Promise<void> {
    await this.save(record);
    await this.#replace(`${record.directory}/hostconfig.json`, JSON.stringify(record.hostConfig), false);
  }

  /**
   * Saves what has happened already, on a full disk with the room kept for it. What can't be saved even so stays in memory until it can:
   * never a reason to fail.
   */
  async settle(record: ContainerRecord): Promise<void> {
    try {
      await this.save(record).catch((error: unknown) => this.#saveFromReserve(record, error));
    } catch (error) {
      this.#owed.set(record.id, record);
      this.warn(`the state of ${record.name} is not saved: ${messageOf(error)}`, { container: record.id });
    }
  }

  #saveFromReserve(record: ContainerRecord, error: unknown): void {
    if (!isNoSpace(error) || this.#reserve === undefined) throw error;
    this.#reserve.run(() => replaceNow(`${record.directory}/config.v2.json`, toStored(record)));
    this.#owed.delete(record.id);
  }

  #payBack(): void {
    for (const record of this.#owed.values())
      try {
        replaceNow(`${record.directory}/config.v2.json`, toStored(record));
        this.#owed.delete(record.id);
      } catch {
        return; // Still no room: said when it happened.
      }
  }

  /** True also for a record that can't be read: what belongs to it is left alone until someone has looked. */
  hasRecord(id: string): boolean {
    return existsSync(`${this.directoryOf(id)}/config.v2.json`);
  }

  async remove(record: ContainerRecord): Promise<void> {
    this.#owed.delete(record.id);
    await rm(`${record.directory}/config.v2.json`, { force: true });
    await rm(record.directory, { recursive: true, force: true });
  }

  async #replace(path: string, text: string, durable: boolean): Promise<void> {
    await rename(await this.#write(path, text, durable), path);
  }

  /** Beside `path`; answers where. Nothing is left of it when it fails. */
  async #write(path: string, text: string, durable: boolean): Promise<string> {
    const temporary = `${path}.${process.pid}.${this.#writes++}.tmp`;
    try {
      await writeFile(temporary, text, { mode: 0o600, flush: durable });
      return temporary;
    } catch (error) {
      await rm(temporary, { force: true });
      throw during(`write ${path}`, error);
    }
  }

  async #read(directory: string) {
    try {
      const [config, host] = await Promise.all([
        readFile(`${directory}/config.v2.json`, "utf8"),
        readFile(`${directory}/hostconfig.json`, "utf8"),
      ]);
      return { kind: "read" as const, record: fromStored(config, host, directory) };
    } catch (error) {
      return { kind: "unreadable" as const, directory, error };
    }
  }
}
