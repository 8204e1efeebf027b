/** What checkouts had, by what they are of: lists of files whose bytes are in the store of contexts. */
import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { access, chmod, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { FileEntry, FileTree } from "../files/entry.ts";
import { objectName } from "../files/object-name.ts";
import { decodeIndex, encodeIndex } from "../files/tree-index.ts";

const HOUR_MS = 3600 * 1000;
const UNUSED_MS = 48 * HOUR_MS;
/** Objects of a list that is used stay: they are touched this often. */
const TOUCH_MS = 12 * HOUR_MS;

export class GitTrees {
  #writes = 0;

  constructor(
    private readonly directory: string,
    /** `<data-root>/buildkit/contexts/objects` */
    private readonly objects: string,
  ) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  /** Undefined as well when one of its files has gone. */
  async find(key: string): Promise<FileTree | undefined> {
    const path = this.#pathOf(key);
    try {
      const entries = decodeIndex(await readFile(path));
      const isOld = Date.now() - (await stat(path)).mtimeMs > TOUCH_MS;
      for (const entry of entries) {
        if (entry.kind !== "file") continue;
        const name = objectName(entry);
        const object = join(this.objects, name.slice(0, 2), name);
        await (isOld ? chmod(object, entry.mode) : access(object));
      }
      if (isOld) await utimes(path, new Date(), new Date());
      return { entries, source: { kind: "store", directory: this.objects } };
    } catch (error) {
      // Damaged or gone: it is made again.
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") await rm(path, { force: true });
      return undefined;
    }
  }

  async put(key: string, entries: readonly FileEntry[]): Promise<void> {
    const path = this.#pathOf(key);
    const temporary = `${path}.${process.pid}.${this.#writes++}`;
    await writeFile(temporary, encodeIndex(entries), { mode: 0o600 });
    await rename(temporary, path);
  }

  async collect(nowMs = Date.now()): Promise<void> {
    for (const name of await readdir(this.directory)) {
      const path = join(this.directory, name);
      if (name.includes(".") || nowMs - (await stat(path)).mtimeMs > UNUSED_MS) await rm(path, { force: true });
    }
  }

  #pathOf(key: string): string {
    return join(this.directory, createHash("sha256").update(key).digest("hex"));
  }
}
