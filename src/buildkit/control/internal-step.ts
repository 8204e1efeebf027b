/** Work around a build that its client sees as a step: "[internal] load .dockerignore". */
import { createHash } from "node:crypto";
import { messageOf } from "../../platform/errors.ts";
import type { BuildListener } from "../progress.ts";

const nowNs = (): bigint => BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n;

/** Of the events about a step of this name. */
const stepId = (name: string): string => createHash("sha256").update(name).digest("hex");

export async function internalStep<T>(listener: BuildListener, name: string, work: () => Promise<T>): Promise<T> {
  const id = stepId(name);
  listener({ kind: "vertex", id, name, inputs: [] });
  listener({ kind: "started", id, atNs: nowNs() });
  const completed = (error: string) => listener({ kind: "completed", id, atNs: nowNs(), cached: false, error });
  try {
    const result = await work();
    completed("");
    return result;
  } catch (error) {
    completed(messageOf(error));
    throw error;
  }
}
