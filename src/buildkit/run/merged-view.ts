/** Several directories as one: overlayfs, in a mount namespace that goes with who looks at it. Pure. */
import { type Operation, operation } from "../../keel/plan.ts";

export interface ViewRequest {
  /** An empty directory that there is. */
  readonly at: string;
  /** Top first. */
  readonly directories: readonly string[];
  /** What is written goes here; undefined: read-only. */
  readonly writable?: { readonly upper: string; readonly work: string };
  /** Directory of short links "0", "1", ... to the directories, for kernels whose mount(2) takes one page of names; "": not needed. */
  readonly links?: string;
  readonly cause: string;
}

export interface View {
  readonly path: string;
  /** Empty where one directory is all there is. */
  readonly operations: readonly Operation[];
}

const READ_ONLY = 1;
/** Nothing in it outlives the machine's fall half-way: fsync costs nothing, and the unmount does not write out the whole disk. */
const VOLATILE = 2;

export function mergedView({ at, directories, writable, links = "", cause }: ViewRequest): View {
  const [only = at, ...more] = directories;
  if (!writable && more.length === 0) return { path: only, operations: [] };
  const { upper, work } = writable ?? { upper: "", work: "" };
  const lowers = directories.length === 0 ? [at] : directories;
  const fields = {
    target: at,
    upper,
    work,
    lowers,
    flags: writable ? VOLATILE : READ_ONLY,
    ...(links !== "" && { base: links, links: lowers.map((_, i) => `${i}`) }),
  };
  return { path: at, operations: [operation("overlay", fields, { cause, subject: at })] };
}
