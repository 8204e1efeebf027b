/** --explain-context: what of the context takes the space, and lines of .dockerignore that would help. */
import { reportContext } from "../../buildkit/files/context-report.ts";
import type { FileEntry } from "../../buildkit/files/entry.ts";
import { humanSize } from "../format/units.ts";
import type { ListedFile } from "./tree-walk.ts";

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
