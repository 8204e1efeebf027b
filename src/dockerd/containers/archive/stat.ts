/** X-Docker-Container-Path-Stat: what docker cp wants to know about a path. Pure. */

export interface PathStat {
  readonly name: string;
  readonly size: number;
  /** As lstat gives it. */
  readonly mode: number;
  /** RFC 3339. */
  readonly mtime: string;
  /** Empty when it is no link. */
  readonly linkTarget: string;
}

const TYPE_MASK = 0o170000;
const goTypes: Readonly<Record<number, number>> = {
  [0o040000]: 2 ** 31,
  [0o120000]: 2 ** 27,
  [0o060000]: 2 ** 26,
  [0o020000]: 2 ** 26 + 2 ** 21,
  [0o010000]: 2 ** 25,
  [0o140000]: 2 ** 24,
};

/** st_mode as Go's os.FileMode: types and special bits in other places. */
export function goFileMode(mode: number): number {
  const special = (mode & 0o4000 ? 2 ** 23 : 0) + (mode & 0o2000 ? 2 ** 22 : 0) + (mode & 0o1000 ? 2 ** 20 : 0);
  return (goTypes[mode & TYPE_MASK] ?? 0) + special + (mode & 0o777);
}

export function encodePathStat(stat: PathStat): string {
  const { name, size, mode, mtime, linkTarget } = stat;
  return Buffer.from(JSON.stringify({ name, size, mode: goFileMode(mode), mtime, linkTarget })).toString("base64");
}
