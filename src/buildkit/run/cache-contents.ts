/** What a new cache mount holds: nothing, or a copy of a directory of `from`. Pure. */
import { type Operation, operation } from "../../keel/plan.ts";
import { CLONE_NEWNS, MS_PRIVATE, MS_REC } from "../../runc/kernel-constants.ts";
import type { CacheMount } from "./cache-mounts.ts";
import { mergedView } from "./merged-view.ts";

export interface CachePlace {
  readonly directory: string;
  /** Of `from`, top first. */
  readonly directories: readonly string[];
}

/** Makes `<directory>/data`. */
export function cacheContents(mount: CacheMount, { directory, directories }: CachePlace): Operation[] {
  const cause = `cache mount ${mount.target}`;
  const path = `${directory}/data`;
  const made = operation("mkdir", { path, mode: 0o755 }, { cause });
  if (mount.from !== undefined) return [made, ...copyOf(mount, { directory, directories }, path)];
  return [
    made,
    operation("lchown", { path, uid: mount.uid, gid: mount.gid }, { cause }),
    operation("chmod", { path, mode: mount.mode }, { cause }),
  ];
}

/** Mounted where only this plan's process sees it. */
function copyOf({ source, target }: CacheMount, { directory, directories }: CachePlace, to: string): Operation[] {
  const cause = `cache mount ${target}`;
  const view = mergedView({ at: `${directory}/from`, directories, cause });
  const copy = operation("copyTree", { from: [view.path, source || "/"], to }, { cause, subject: source });
  if (view.operations.length === 0) return [copy];
  return [
    operation("mkdir", { path: `${directory}/from`, mode: 0o700 }, { cause }),
    operation("unshare", { flags: CLONE_NEWNS }, { cause }),
    operation("propagation", { path: "/", flags: MS_PRIVATE | MS_REC }, { cause }),
    ...view.operations,
    copy,
  ];
}
