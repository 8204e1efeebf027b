/** What volumes need of the kernel: copying, measuring, mounting and deleting trees, all in keel. */
import type { Stats } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { operation } from "../../keel/plan.ts";
import type { Kernel } from "../kernel.ts";
import type { Volume } from "./api.ts";
import { parseMountOptions } from "./mount-options.ts";

export class VolumeDisk {
  constructor(private readonly kernel: Kernel) {}

  async isEmpty(directory: string): Promise<boolean> {
    return (await readdir(directory)).length === 0;
  }

  /** The contents, and owner and mode of the directory itself. False when there is no directory to copy. */
  async copy(from: string, to: string): Promise<boolean> {
    const source = await findDirectory(from);
    if (!source) return false;
    const { mode, uid, gid } = source;
    await this.kernel.run(`copy ${from} into the volume`, [
      operation("copyTree", { from, to }),
      operation("lchown", { uid, gid, path: to }),
      operation("chmod", { mode: mode & 0o7777, path: to }),
    ]);
    return true;
  }

  /** Bytes on disk below each path. */
  async usage(paths: readonly string[]): Promise<number[]> {
    if (paths.length === 0) return [];
    const operations = paths.map((path) => operation("usage", { path }, { tolerate: ["ENOENT"] }));
    const outputs = await this.kernel.run("measure volumes", operations);
    return paths.map((_, i) => bytesOf(outputs.get(i)));
  }

  async remove(directory: string): Promise<void> {
    await this.kernel.run(`delete ${directory}`, [operation("removeTree", { path: directory })]);
  }

  async isMounted(target: string): Promise<boolean> {
    const info = await readFile("/proc/self/mountinfo", "utf8");
    const escaped = target.replace(/[ \t\n\\]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, "0")}`);
    return info.split("\n").some((line) => line.split(" ")[4] === escaped);
  }

  async mount(volume: Volume): Promise<void> {
    const { type = "", device = "", o = "" } = volume.options;
    const { flags, data } = parseMountOptions(o);
    const fields = { source: device, target: volume.mountpoint, type: type === "none" ? "" : type, data, flags };
    await this.kernel.run(`mount volume ${volume.name}`, [
      operation("mount", fields, { cause: `volume ${volume.name}` }),
    ]);
  }

  async unmount(volume: Volume): Promise<void> {
    const detach = 2; // MNT_DETACH
    await this.kernel.run(`unmount volume ${volume.name}`, [
      operation("umount", { target: volume.mountpoint, flags: detach }, { tolerate: ["EINVAL", "ENOENT"] }),
    ]);
  }
}

async function findDirectory(path: string): Promise<Stats | undefined> {
  try {
    const found = await stat(path);
    return found.isDirectory() ? found : undefined;
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}

function bytesOf(output: Uint8Array | undefined): number {
  if (output === undefined || output.length < 8) return 0;
  return Number(new DataView(output.buffer, output.byteOffset).getBigUint64(0, true));
}
