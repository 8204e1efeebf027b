/**
 * What clients sent and nobody needs any more: files of the store that no layer links to, no remembered directory names and nothing has touched for two
 * days, and the lists of directories that were not used for as long. Only while no build runs: one may have found a file there and not linked it yet.
 */
import { lstat, readdir, readFile, unlink } from "node:fs/promises";
import { join } from "node:path";
import { objectName } from "../files/object-name.ts";
import { decodeIndex } from "../files/tree-index.ts";

export const UNUSED_MS = 48 * 3600 * 1000;

export interface Collection {
  readonly files: number;
  readonly bytes: number;
}

/** `directory`: `<data-root>/buildkit/contexts`. */
export async function collectContexts(directory: string, nowMs = Date.now()): Promise<Collection> {
  const kept = await remembered(join(directory, "clients"), nowMs);
  const objects = join(directory, "objects");
  let [files, bytes] = [0, 0];
  for (const shelf of await entriesOf(objects)) {
    if (!/^[0-9a-f]{2}$/.test(shelf)) continue;
    for (const name of await entriesOf(join(objects, shelf))) {
      if (kept.has(name)) continue;
      const path = join(objects, shelf, name);
      const { nlink, ctimeMs, size } = await lstat(path);
      if (nlink > 1 || nowMs - ctimeMs < UNUSED_MS) continue;
      await unlink(path);
      files++;
      bytes += size;
    }
  }
  return { files, bytes };
}

/** Names of objects that a client's next build counts on. */
async function remembered(directory: string, nowMs: number): Promise<ReadonlySet<string>> {
  const names = new Set<string>();
  for (const name of await entriesOf(directory)) {
    const path = join(directory, name);
    if (nowMs - (await lstat(path)).mtimeMs >= UNUSED_MS) await unlink(path);
    else for (const entry of decodeIndex(await readFile(path))) if (entry.kind === "file") names.add(objectName(entry));
  }
  return names;
}

async function entriesOf(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
