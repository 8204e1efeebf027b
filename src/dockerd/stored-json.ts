/** Small JSON files of the data root: written whole and durably (temporary name, fsync, rename), read whole. */
import { closeSync, fsync, open as openFile, renameSync, rmSync, writeFileSync } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { promisify } from "node:util";
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

export interface OpenDirectory extends Disposable {
  /** After this its entries are as they are now, also after a power cut. */
  sync(): Promise<void>;
}

/** Can be opened while its files are still being written: each call is a turn of the runtime's threads. */
export async function openDirectory(path: string): Promise<OpenDirectory> {
  const fd = await promisify(openFile)(path, "r");
  return { sync: () => promisify(fsync)(fd), [Symbol.dispose]: () => closeSync(fd) };
}

export async function syncDirectory(path: string): Promise<void> {
  using directory = await openDirectory(path);
  await directory.sync();
}

async function withFile(file: FileHandle, body: (file: FileHandle) => Promise<void>): Promise<void> {
  try {
    await body(file);
  } finally {
    await file.close();
  }
}
