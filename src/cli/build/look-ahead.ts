/** Reads the context's directories while the daemon is still busy with the Dockerfile: by then it is most of the work of a build that is cached. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { IgnorePatterns, ignoreFileNames, parseIgnoreFile } from "../../buildkit/files/ignore.ts";
import { TreeFilter } from "../../buildkit/files/tree-filter.ts";
import { type Listings, walk } from "./tree-walk.ts";

export interface LocalSource {
  readonly context: string;
  readonly dockerfileDirectory: string;
  readonly dockerfile: string;
}

/** Between two looks at what the daemon says. */
const SLICE_MS = 2;
/** A context of more is read when the daemon has said what of it is used. */
const MOST_FILES = 50_000;

/** Until all is read, or `signal` aborts. What goes wrong shows when the files are asked for. */
export async function lookAhead(listings: Listings, source: LocalSource, signal: AbortSignal): Promise<void> {
  const excluded = ignoredBy(source);
  const filter = excluded.length === 0 ? undefined : new TreeFilter(undefined, new IgnorePatterns(excluded));
  let sliceEndMs = performance.now() + SLICE_MS;
  let files = 0;
  for (const _ of walk(listings, filter)) {
    if (++files > MOST_FILES || signal.aborted) return;
    if (performance.now() < sliceEndMs) continue;
    await setImmediate();
    sliceEndMs = performance.now() + SLICE_MS;
  }
}

export function ignoredBy({ context, dockerfileDirectory, dockerfile }: LocalSource): readonly string[] {
  const [own, general] = ignoreFileNames(dockerfile);
  for (const path of [join(dockerfileDirectory, own!), join(context, general!)]) {
    const data = readIfFile(path);
    if (data) return parseIgnoreFile(data);
  }
  return [];
}

function readIfFile(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined; // Whoever needs it says why it cannot be read.
  }
}
