/** Runs cgroup writes of a plan without keel: each is one small file. */
import { closeSync, constants, openSync, writeSync } from "node:fs";
import type { Operation } from "../../keel/plan.ts";
import { during, HullError } from "../../platform/errors.ts";

/** Throws at the first that the kernel refuses, naming its cause. */
export function writeAll(operations: readonly Operation[]): void {
  for (const { name, record, cause, subject } of operations) {
    if (name !== "writeFile") throw new HullError("internal", `${name} is no write of a cgroup file`);
    const [path, data] = record.blobs!;
    try {
      const fd = openSync(path as string, constants.O_WRONLY);
      try {
        writeSync(fd, data as string);
      } finally {
        closeSync(fd);
      }
    } catch (error) {
      throw during(`${cause}: write ${subject}`, error);
    }
  }
}
