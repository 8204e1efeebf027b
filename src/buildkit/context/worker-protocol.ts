/** What the worker process for file trees is asked, as lines of JSON: work that hashes and walks stays off the daemon's event loop. */
import type { FileEntry } from "../files/entry.ts";
import type { Owner } from "./worker-place.ts";

/** Paths are text as in indexes (files/path-text.ts); trees travel as index files. */
export type WorkerRequest =
  | { readonly kind: "index"; readonly root: string; readonly path: string; readonly index: string }
  | { readonly kind: "resolve"; readonly root: string; readonly path: string }
  | { readonly kind: "read"; readonly root: string; readonly path: string; readonly maxBytes: number }
  | {
      readonly kind: "place";
      /** The layer's own directory, and the merged one below it; "" for none. */
      readonly upper: string;
      readonly lower: string;
      /** Where sources are: the store, or a merged directory. */
      readonly source: { readonly kind: "store" | "directory"; readonly path: string };
      /** A file with a list of PlacingText. */
      readonly placings: string;
      readonly parentOwner: Owner;
    };

export type WorkerAnswer =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly code: string; readonly message: string };

/** JSON has no integers of this size. */
export type EntryText = Omit<FileEntry, "mtimeNs"> & { readonly mtimeNs: string };

/** `original`: the entry as the source tree has it. */
export interface PlacingText {
  readonly entry: EntryText;
  readonly original: EntryText;
}

export const entryText = (entry: FileEntry): EntryText => ({ ...entry, mtimeNs: String(entry.mtimeNs) });
export const entryOf = (text: EntryText): FileEntry => ({ ...text, mtimeNs: BigInt(text.mtimeNs) });
