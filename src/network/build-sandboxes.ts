/**
 * Sandboxes of build commands belong to hull-buildkitd, not to hulld: their key is "build-", the number of the builder's process, "-" and more.
 * They are the builder's as long as that process lives, whatever hulld knows of.
 */
import { existsSync } from "node:fs";

export function isOfLivingBuilder(containerId: string, isAlive: (pid: number) => boolean = hasProcess): boolean {
  const pid = /^build-(\d+)-/.exec(containerId)?.[1];
  return pid !== undefined && isAlive(Number(pid));
}

const hasProcess = (pid: number): boolean => existsSync(`/proc/${pid}`);
