/**
 * Records on disk: `<data-root>/containers/<id>/{config.v2.json,hostconfig.json}`.
 * Lifecycle of a record: `create` (directory and files, durable) -> `save` (rename, no fsync: after a power cut the state is looked up again) ... -> `remove`.
 */
import { existsSync } from "node:fs";
import { mkdir, open, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { during } from "../../platform/errors.ts";
import type { ContainerRecord } from "./record.ts";
import { fromStored, toStored } from "./stored.ts";

export interface LoadedRecords {
  readonly records: readonly ContainerRecord[];
  /** Directories that hold no usable record, with the reason: reported, never touched. */
  readonly unreadable: readonly { readonly directory: string; readonly error: unknown }[];
}

export class ContainerStore {
  #writes = 0;

  constructor(private readonly root: string) {}

  directoryOf(id: string): string {
    return `${this.root}/${id}`;
  }

  async load(): Promise<LoadedRecords> {
    await mkdir(this.root, { recursive: true, mode: 0o710 });
    const ids = (await readdir(this.root)).filter((name) => /^[0-9a-f]{64}$/.test(name));
    const results = await Promise.all(ids.map((id) => this.#read(this.directoryOf(id))));
    return {
      records: results.flatMap((result) => (result.kind === "read" ? [result.record] : [])),
      unreadable: results.flatMap((result) => (result.kind === "unreadable" ? [result] : [])),
    };
  }

  async create(record: ContainerRecord): Promise<void> {
    try {
      await mkdir(record.directory, { mode: 0o710 });
      await this.#write(record, true);
    } catch (error) {
      await rm(record.directory, { recursive: true, force: true });
      throw during(`create container directory ${record.directory}`, error);
    }
  }

  async save(record: ContainerRecord): Promise<void> {
    await this.#replace(`${record.directory}/config.v2.json`, toStored(record), false);
  }

  /** With the host's part: after rename and update. */
  async saveAll(record: ContainerRecord): Promise<void> {
    await this.#write(record, false);
  }

  /** True also for a record that can't be read: what belongs to it is left alone until someone has looked. */
  hasRecord(id: string): boolean {
    return existsSync(`${this.directoryOf(id)}/config.v2.json`);
  }

  async remove(record: ContainerRecord): Promise<void> {
    await rm(record.directory, { recursive: true, force: true });
  }

  async #write(record: ContainerRecord, durable: boolean): Promise<void> {
    await Promise.all([
      this.#replace(`${record.directory}/hostconfig.json`, JSON.stringify(record.hostConfig), durable),
      this.#replace(`${record.directory}/config.v2.json`, toStored(record), durable),
    ]);
    if (durable) await syncDirectory(record.directory);
  }

  async #replace(path: string, text: string, durable: boolean): Promise<void> {
    const temporary = `${path}.${process.pid}.${this.#writes++}.tmp`;
    try {
      await writeFile(temporary, text, { mode: 0o600, flush: durable });
      await rename(temporary, path);
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

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
