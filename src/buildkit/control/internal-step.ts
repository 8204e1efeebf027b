/** Work around a build that its client sees as a step: "[internal] load .dockerignore". */
import { createHash } from "node:crypto";
import { messageOf } from "../../platform/errors.ts";
import type { BuildListener } from "../progress.ts";

const nowNs = (): bigint => BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n;

/** Of the events about a step of this name; `seed` tells it from others of the name. */
export const stepId = (name: string, seed = ""): string => createHash("sha256").update(`${name}${seed}`).digest("hex");

export interface InternalStep {
  /** "transferring context: 2.10MB done" */
  transferred(what: string, bytes: number): void;
}

export async function internalStep<T>(
  listener: BuildListener,
  name: string,
  work: (step: InternalStep) => Promise<T>,
  seed = "",
): Promise<T> {
  const id = stepId(name, seed);
  const startedNs = nowNs();
  listener({ kind: "vertex", id, name, inputs: [] });
  listener({ kind: "started", id, atNs: startedNs });
  const completed = (error: string) => listener({ kind: "completed", id, atNs: nowNs(), cached: false, error });
  const transferred: InternalStep["transferred"] = (what, current) => {
    const times = { startedNs, completedNs: nowNs() };
    listener({ kind: "status", id, name: `transferring ${what}:`, current, total: 0, ...times });
  };
  try {
    const result = await work({ transferred });
    completed("");
    return result;
  } catch (error) {
    completed(messageOf(error));
    throw error;
  }
}
