/**
 * RUN --mount as kernel operations: `ground` in the command's mount namespace before its root is opened, `inside` in its root. Sources are opened
 * confined to where they come from, targets to the root; nothing of it is seen outside of the namespace. Pure.
 */

import { NO_SLOT } from "../../keel/operations.ts";
import { type Operation, operation } from "../../keel/plan.ts";
import { SLOT } from "../../runc/compile/slots.ts";
import {
  AT_RECURSIVE,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_RDONLY,
  MS_PRIVATE,
  O_CREAT,
  O_DIRECTORY_PATH,
  O_WRONLY,
  OPEN_TREE_CLONE,
} from "../../runc/kernel-constants.ts";

/** A mount whose source is there. */
export type PlannedMount =
  /** A path inside a directory of the host, links followed in that directory. */
  | {
      readonly kind: "inside";
      readonly root: string;
      readonly path: string;
      readonly target: string;
      readonly readOnly: boolean;
    }
  /** A path of the host that is our own. */
  | { readonly kind: "own"; readonly path: string; readonly target: string; readonly readOnly: boolean }
  | { readonly kind: "tmpfs"; readonly target: string; readonly sizeBytes: number };

/** A file that exists in memory only. */
export interface MemoryFile {
  readonly name: string;
  readonly data: Uint8Array | string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** Free for us: between those of the root's plan. */
const SOURCE_SLOT = 5;
const ALIKE = 3;
const DIRECTORY = 2;
const KEEP_MODE = 2;
const PLAIN = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;

const depth = ({ target }: PlannedMount): number => target.split("/").filter((part) => part !== "").length;

/** Parents before what is in them, else as written. */
export const mountAll = (mounts: readonly PlannedMount[]): Operation[] =>
  [...mounts].sort((a, b) => depth(a) - depth(b)).flatMap(mountOne);

function mountOne(mount: PlannedMount): Operation[] {
  const { target } = mount;
  const cause = `--mount target=${target}`;
  const slot = SLOT.mount;
  if (mount.kind === "tmpfs") {
    const options = mount.sizeBytes > 0 ? ["size", `${mount.sizeBytes}`] : [];
    return [
      operation("fsmount", { slot, attr: PLAIN, type: "tmpfs", source: "tmpfs", options }, { cause, subject: target }),
      attach(target, { cause, create: DIRECTORY, flags: KEEP_MODE }),
    ];
  }
  const flags = OPEN_TREE_CLONE | AT_RECURSIVE;
  const opened =
    mount.kind === "own"
      ? [operation("openTree", { slot, flags, path: mount.path }, { cause })]
      : [
          operation("open", { slot: SOURCE_SLOT, flags: O_DIRECTORY_PATH, path: mount.root }, { cause }),
          operation("openTreeIn", { slot, rootSlot: SOURCE_SLOT, flags, path: mount.path }, { cause }),
          operation("close", { slot: SOURCE_SLOT }, { cause }),
        ];
  const set = mount.readOnly ? MOUNT_ATTR_RDONLY : 0;
  const attributes = { slot, recursive: 1, set, clear: 0, propagation: MS_PRIVATE, usernsSlot: NO_SLOT };
  return [
    ...opened,
    operation("mountSetattr", attributes, { cause, subject: target }),
    attach(target, { cause, create: ALIKE, flags: 0 }),
  ];
}

const attach = (
  target: string,
  how: { readonly cause: string; readonly create: number; readonly flags: number },
): Operation =>
  operation(
    "moveMountIn",
    { slot: SLOT.mount, rootSlot: SLOT.root, create: how.create, mode: 0o755, flags: how.flags, path: target },
    { cause: how.cause },
  );

/** A tmpfs at `directory` with these files: they are in no other place, and gone with the namespace. */
export function memoryFiles(
  directory: string,
  files: readonly MemoryFile[],
  { executable, cause }: { readonly executable: boolean; readonly cause: string },
): Operation[] {
  if (files.length === 0) return [];
  const attr = PLAIN | (executable ? 0 : MOUNT_ATTR_NOEXEC);
  const slot = SLOT.mount;
  return [
    operation(
      "fsmount",
      { slot, attr, type: "tmpfs", source: "tmpfs", options: ["mode", executable ? "0755" : "0700"] },
      { cause, subject: directory },
    ),
    operation("moveMount", { slot, path: directory }, { cause }),
    operation("close", { slot }, { cause }),
    ...files.flatMap(({ name, data, mode, uid, gid }) => {
      const path = `${directory}/${name}`;
      return [
        operation("writeFile", { path, data, flags: O_WRONLY | O_CREAT, mode: 0o600 }, { cause }),
        operation("lchown", { path, uid, gid }, { cause }),
        operation("chmod", { path, mode }, { cause }),
      ];
    }),
  ];
}
