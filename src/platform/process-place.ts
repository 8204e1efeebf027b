/** Where a process id means the same to two processes: one machine since its start, one namespace of processes. */
import { readFileSync, readlinkSync } from "node:fs";

export interface ProcessPlace {
  readonly bootId: string;
  /** "pid:[4026531836]" */
  readonly pidNamespace: string;
}

export const placeOfProcess = (): ProcessPlace => ({
  bootId: readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim(),
  pidNamespace: readlinkSync("/proc/self/ns/pid"),
});
