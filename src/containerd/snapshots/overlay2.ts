/**
 * overlay2 as Docker lays it out: `<home>/<id>/{diff,link}`, with a parent also `lower`; `work` and `merged` while active,
 * `committed` for layers; `<home>/l/<26 characters>` is a short link to `../<id>/diff`, so that the options of mount(2)
 * fit a page. Layers don't need their parents to be unpacked.
 */
import { join } from "node:path";
import { type Operation, operation } from "../../keel/plan.ts";
import type { SnapshotDriver } from "./snapshot-driver.ts";
import type { Mount, SnapshotInfo, SnapshotPaths } from "./snapshotter.ts";

const MNT_DETACH = 2;
const O_WRONLY_CREAT_EXCL = 0o301;
const LINK_CHARACTERS = 26;
const base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/** The short link's name: the id's first bits, as Docker's are 26 characters of base 32. */
export function linkOf(id: string): string {
  const bits = BigInt(`0x${id.slice(0, 34)}`);
  return Array.from({ length: LINK_CHARACTERS }, (_, i) => base32[Number((bits >> BigInt(i * 5)) & 31n)]).join("");
}

export function overlay2Driver(dataRoot: string, maxDepth: number): SnapshotDriver {
  const home = join(dataRoot, "overlay2");
  const at = (snapshot: SnapshotInfo, ...rest: string[]): string => join(home, snapshot.id, ...rest);
  const diffs = (stack: readonly SnapshotInfo[]): string[] => stack.map((snapshot) => at(snapshot, "diff"));

  const lowerFile = (snapshot: SnapshotInfo, parents: readonly SnapshotInfo[]): Operation[] =>
    parents.length === 0
      ? []
      : [file(at(snapshot, "lower"), parents.map((parent) => `l/${linkOf(parent.id)}`).join(":"))];

  return {
    name: "overlay2",
    independentLayers: true,
    maxDepth,
    home,
    keep: ["l"],
    create: (snapshot, parents) => {
      const link = linkOf(snapshot.id);
      const target = join("..", snapshot.id, "diff");
      const writable = parents.length > 0 && snapshot.kind === "active";
      return [
        mkdir(at(snapshot), 0o710),
        mkdir(at(snapshot, "diff"), 0o755),
        operation("symlink", { target, path: join(home, "l", link) }, { cause: "snapshot" }),
        file(at(snapshot, "link"), link),
        ...lowerFile(snapshot, parents),
        ...(writable ? [mkdir(at(snapshot, "work"), 0o700)] : []),
        ...(parents.length > 0 ? [mkdir(at(snapshot, "merged"), 0o700)] : []),
      ];
    },
    commit: (snapshot, parents) => [
      operation("removeTree", { path: at(snapshot, "work") }, { cause: "commit" }),
      operation("rmdir", { path: at(snapshot, "merged") }, { tolerate: ["ENOENT"], cause: "commit" }),
      ...(snapshot.parent === "" ? lowerFile(snapshot, parents) : []),
      file(at(snapshot, "committed"), ""),
    ],
    release: (snapshot) => [
      operation(
        "umount",
        { target: at(snapshot, "merged"), flags: MNT_DETACH },
        { tolerate: ["EINVAL", "ENOENT"], cause: "remove" },
      ),
      operation("unlink", { path: join(home, "l", linkOf(snapshot.id)) }, { tolerate: ["ENOENT"], cause: "remove" }),
    ],
    mounts: (snapshot, parents) =>
      overlayMounts(snapshot, { diff: at(snapshot, "diff"), work: at(snapshot, "work"), lowers: diffs(parents) }),
    paths: (snapshot, parents) => overlayPaths(at(snapshot), diffs(parents)),
  };
}

interface Directories {
  readonly diff: string;
  readonly work: string;
  readonly lowers: readonly string[];
}

function overlayMounts(snapshot: SnapshotInfo, { diff, work, lowers }: Directories): Mount[] {
  const [only, ...more] = lowers;
  if (snapshot.kind === "active" && only !== undefined) {
    const options = [`workdir=${work}`, `upperdir=${diff}`, `lowerdir=${lowers.join(":")}`];
    return [{ type: "overlay", source: "overlay", options: ["index=off", ...options] }];
  }
  if (snapshot.kind === "active") return [{ type: "bind", source: diff, options: ["rw", "rbind"] }];
  if (only === undefined) return [{ type: "bind", source: diff, options: ["ro", "rbind"] }];
  if (more.length === 0) return [{ type: "bind", source: only, options: ["ro", "rbind"] }];
  return [{ type: "overlay", source: "overlay", options: ["index=off", `lowerdir=${lowers.join(":")}`] }];
}

function overlayPaths(directory: string, lowers: readonly string[]): SnapshotPaths {
  const layer = join(directory, "diff");
  const upper = { UpperDir: layer };
  if (lowers.length === 0) return { driver: "overlay2", data: upper, root: layer, layer, lowers };
  const merged = join(directory, "merged");
  const data = { LowerDir: lowers.join(":"), MergedDir: merged, ...upper, WorkDir: join(directory, "work") };
  return { driver: "overlay2", data, root: merged, layer, lowers };
}

const mkdir = (path: string, mode: number): Operation => operation("mkdir", { path, mode }, { cause: "snapshot" });

const file = (path: string, data: string): Operation =>
  operation("writeFile", { path, data, flags: O_WRONLY_CREAT_EXCL, mode: 0o644 }, { cause: "snapshot" });
