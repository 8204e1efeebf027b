/** Small JSON files of the data root: written whole and durably (temporary name, fsync, rename), read whole. */
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { during } from "../platform/errors.ts";

/** After this returns the file holds `value`, also after a power cut; on an error the earlier content is intact. */
export async function writeJsonDurably(path: string, value: unknown): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await withFile(await open(temporary, "w", 0o600), async (file) => {
      await file.writeFile(`${JSON.stringify(value)}\n`);
      await file.sync();
    });
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncDirectory(dirname(path));
}

/** The same in one turn of the loop, for what is written in a reserve; not synced: a killed process needs none. Throws what it met. */
export function replaceNow(path: string, text: string): void {
  const temporary = `${path}.new`;
  try {
    writeFileSync(temporary, text, { mode: 0o600 });
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw during(`write ${path}`, error);
  }
}

/** After this returns its entries are as they are now, also after a power cut. */
export const syncDirectory = async (path: string): Promise<void> =>
  withFile(await open(path, "r"), (directory) => directory.sync());

async function withFile(file: FileHandle, body: (file: FileHandle) => Promise<void>): Promise<void> {
  try {
    await body(file);
  } finally {
    await file.close();
  }
}
