/**
 * Mounts of snapshots by name of holder (docker cp on a stopped container, a build step): the first holder mounts, the last one's
 * release unmounts. A root that is mounted already (a running task's) is used as it is and left alone.
 */
import { readFile } from "node:fs/promises";
import type { Kernel, PlanOptions } from "../kernel.ts";
import { mountOperations, unmountOperation } from "../tasks/rootfs-mount.ts";
import { Serial } from "../tasks/serial.ts";
import type { Snapshotter } from "./snapshotter.ts";

export interface HeldSnapshot {
  readonly snapshotter: Snapshotter;
  readonly namespace: string;
  readonly key: string;
}

interface Held {
  readonly holders: Set<string>;
  /** We mounted it, so we unmount it. */
  mounted: boolean;
  readonly serial: Serial;
}

export class MountHolds {
  readonly #held = new Map<string, Held>();

  constructor(
    private readonly kernel: Kernel,
    private readonly overlayHome: string,
  ) {}

  /** Answers the path of the root. */
  async hold({ snapshotter, namespace, key }: HeldSnapshot, holder: string, options?: PlanOptions): Promise<string> {
    const { root, layer } = snapshotter.paths(namespace, key);
    if (root === layer) return root;
    const held = this.#held.get(root) ?? { holders: new Set<string>(), mounted: false, serial: new Serial() };
    this.#held.set(root, held);
    return held.serial.run(async () => {
      if (held.holders.size === 0 && !(await this.isMounted(root))) {
        await this.kernel.run(mountOperations(snapshotter.mounts(namespace, key), root, this.overlayHome), options);
        held.mounted = true;
      }
      held.holders.add(holder);
      return root;
    });
  }

  /** A holder that is not there is fine. */
  async release({ snapshotter, namespace, key }: HeldSnapshot, holder: string): Promise<void> {
    const { root } = snapshotter.paths(namespace, key);
    const held = this.#held.get(root);
    await held?.serial.run(async () => {
      held.holders.delete(holder);
      if (held.holders.size > 0) return;
      if (held.mounted) await this.kernel.run([unmountOperation(root)]);
      held.mounted = false;
      if (this.#held.get(root) === held && held.holders.size === 0) this.#held.delete(root);
    });
  }

  /** True when something is mounted there, by anyone. */
  async isMounted(path: string): Promise<boolean> {
    const escaped = path.replace(
      /[\\ \t\n]/g,
      (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, "0")}`,
    );
    const table = await readFile("/proc/self/mountinfo", "utf8");
    return table.includes(` ${escaped} `);
  }
}
