/** What URLs gave when they were last fetched, and in which object of the store of contexts it is. One small file per URL. */
import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { access, chmod, readdir, readFile, rename, rm, stat, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { HullError } from "../../platform/errors.ts";
import type { FileEntry } from "../files/entry.ts";
import { objectName } from "../files/object-name.ts";

export interface Fetched {
  /** As the server said it; "" without. */
  readonly etag: string;
  readonly lastModified: string;
  /** Its path is "". */
  readonly entry: FileEntry;
}

const UNUSED_MS = 48 * 3600 * 1000;

export class HttpRecords {
  #writes = 0;

  constructor(
    private readonly directory: string,
    /** `<data-root>/buildkit/contexts/objects` */
    private readonly objects: string,
  ) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  /** Undefined as well when its object has gone. An object that is found stays for the next two days. */
  async find(url: string): Promise<Fetched | undefined> {
    try {
      const stored = JSON.parse(await readFile(this.#pathOf(url), "utf8")) as StoredRecord;
      const fetched = { ...stored, entry: { ...stored.entry, mtimeNs: BigInt(stored.entry.mtimeNs) } };
      const path = this.objectOf(fetched.entry);
      await access(path);
      await chmod(path, fetched.entry.mode); // A new time of change.
      return fetched;
    } catch (error) {
      if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw new HullError("internal", "read what was fetched before", { cause: error });
    }
  }

  async put(url: string, { etag, lastModified, entry }: Fetched): Promise<void> {
    const stored: StoredRecord = { etag, lastModified, entry: { ...entry, mtimeNs: String(entry.mtimeNs) } };
    const path = this.#pathOf(url);
    const temporary = `${path}.${process.pid}.${this.#writes++}`;
    await writeFile(temporary, JSON.stringify(stored), { mode: 0o600 });
    await rename(temporary, path);
  }

  async forget(url: string): Promise<void> {
    await rm(this.#pathOf(url), { force: true });
  }

  objectOf(entry: FileEntry): string {
    const name = objectName(entry);
    return join(this.objects, name.slice(0, 2), name);
  }

  /** Records that were not written for two days go, and what a killed builder left half written. */
  async collect(nowMs = Date.now()): Promise<void> {
    for (const name of await readdir(this.directory)) {
      const path = join(this.directory, name);
      if (name.includes(".") || nowMs - (await stat(path)).mtimeMs > UNUSED_MS) await unlink(path);
    }
  }

  /** URLs may hold passwords: their names are hashes. */
  #pathOf(url: string): string {
    return join(this.directory, createHash("sha256").update(url).digest("hex"));
  }
}

type StoredRecord = Omit<Fetched, "entry"> & { readonly entry: Omit<FileEntry, "mtimeNs"> & { mtimeNs: string } };
