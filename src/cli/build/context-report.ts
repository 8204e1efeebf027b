/** --explain-context: what of the context takes the space, and lines of .dockerignore that would help. */
import { reportContext } from "../../buildkit/files/context-report.ts";
import type { FileEntry } from "../../buildkit/files/entry.ts";
import { IgnorePatterns } from "../../buildkit/files/ignore.ts";
import { humanSize } from "../format/units.ts";
import { type ListedFile, type Listings, walk } from "./tree-walk.ts";

/** `files`: what the daemon was told of, in the order of the walk. */
export function contextReport(files: readonly ListedFile[]): string {
  const { bytes, files: count, directories, suggestions } = reportContext(files.map(entryOf));
  const rows = directories.map((one) => `  ${humanSize(one.bytes).padStart(8)}  ${one.path} (${filesText(one.files)})`);
  const lines = suggestions.map((one) => `  ${one.line}    # ${humanSize(one.bytes)}, ${filesText(one.files)}`);
  return [
    `Build context: ${humanSize(bytes)} in ${filesText(count)}`,
    ...(rows.length > 0 ? ["Largest directories:", ...rows] : []),
    ...(lines.length > 0 ? ["Lines for .dockerignore that would make it smaller:", ...lines] : []),
    "",
  ].join("\n");
}

/** From this size on a context is told of before it is sent. */
export const LARGE_BYTES = 200 * 1000 * 1000;

interface Amount {
  bytes: number;
  files: number;
}

/**
 * What of the directory does not travel: what each pattern of the ignore file leaves out, the most first, and what no instruction uses.
 * `sent`: what travels. Reads the whole directory.
 */
export function leftOutReport(listings: Listings, patterns: readonly string[], sent: readonly ListedFile[]): string {
  const matcher = new IgnorePatterns(patterns);
  const travels = new Set(sent.map(({ path }) => path));
  const ignored = new Map<string, Amount>();
  const unused: Amount = { bytes: 0, files: 0 };
  for (const { path, isFile, size } of walk(listings, undefined)) {
    if (!isFile || travels.has(path)) continue;
    const pattern = matcher.reason(path);
    const amount = pattern === undefined ? unused : (ignored.get(pattern) ?? { bytes: 0, files: 0 });
    amount.bytes += size;
    amount.files++;
    if (pattern !== undefined) ignored.set(pattern, amount);
  }
  const rows = [...ignored]
    .sort(([, a], [, b]) => b.bytes - a.bytes)
    .map(([pattern, amount]) => rowOf(pattern, amount));
  return [
    ...(rows.length > 0 ? ["Left out by the ignore file:", ...rows.slice(0, MOST_PATTERNS)] : []),
    ...(rows.length > MOST_PATTERNS ? [`  and by ${rows.length - MOST_PATTERNS} more patterns`] : []),
    ...(unused.files > 0
      ? [`Used by no instruction, so not sent: ${humanSize(unused.bytes)} in ${filesText(unused.files)}`]
      : []),
    "",
  ].join("\n");
}

const MOST_PATTERNS = 10;
const rowOf = (pattern: string, { bytes, files }: Amount): string =>
  `  ${humanSize(bytes).padStart(8)}  ${pattern} (${filesText(files)})`;

const filesText = (count: number): string => (count === 1 ? "1 file" : `${count} files`);

const entryOf = ({ path, isFile, isDirectory, size, mtimeNs }: ListedFile): FileEntry => ({
  path,
  kind: isFile ? "file" : isDirectory ? "directory" : "symlink",
  mode: 0,
  uid: 0,
  gid: 0,
  size,
  mtimeNs,
  sha256: "",
  linkTarget: "",
  hardLinkTo: "",
  deviceMajor: 0,
  deviceMinor: 0,
  xattrs: [],
});
