/** Why a context is large: its largest directories, and the lines of .dockerignore that would help. */
import type { FileEntry } from "./entry.ts";

export interface DirectorySize {
  readonly path: string;
  readonly bytes: number;
  readonly files: number;
}

export interface IgnoreSuggestion {
  /** For .dockerignore. */
  readonly line: string;
  readonly bytes: number;
  readonly files: number;
}

export interface ContextReport {
  readonly bytes: number;
  readonly files: number;
  /** Largest first; of a directory that is mostly one other directory only the inner one. */
  readonly directories: readonly DirectorySize[];
  readonly suggestions: readonly IgnoreSuggestion[];
}

const mostDirectories = 10;
/** A directory of which one part has more than this is told by that part. */
const mostly = 0.9;
/** Less saves nobody's time. */
const leastSuggestedBytes = 1 << 20;

/** Directories that tools make or fill again, wherever they are. */
const madeDirectories: ReadonlySet<string> = new Set([
  ".cache",
  ".direnv",
  ".git",
  ".gradle",
  ".hg",
  ".idea",
  ".mypy_cache",
  ".next",
  ".nox",
  ".nuxt",
  ".parcel-cache",
  ".pytest_cache",
  ".ruff_cache",
  ".svelte-kit",
  ".svn",
  ".terraform",
  ".tox",
  ".turbo",
  ".venv",
  ".vscode",
  "__pycache__",
  "bower_components",
  "coverage",
  "node_modules",
  "venv",
]);

/** Made by the tool whose file stands beside them: "target" is a common name. */
const markerOfDirectory: Readonly<Record<string, readonly string[]>> = {
  target: ["Cargo.toml", "pom.xml", "build.sbt"],
  build: ["build.gradle", "build.gradle.kts", "CMakeLists.txt"],
  dist: ["package.json", "pyproject.toml", "setup.py"],
};

/** Rarely part of a program. */
const largeFileKinds =
  /\.(?:log|iso|img|qcow2|vmdk|dump|core|tmp|swp|bak|mp4|mov|zip|7z|tar|tgz|tar\.gz|tar\.xz|tar\.zst)$/i;

/** `used`: patterns of what the build copies by name; nothing of that is suggested. Entries in the order of a tree. */
export function reportContext(entries: readonly FileEntry[], used: readonly string[] = []): ContextReport {
  const sizes = new Map<string, { bytes: number; files: number }>();
  const suggestions = new Map<string, { bytes: number; files: number }>();
  const paths = new Set(entries.map(({ path }) => path));
  for (const { path, kind, size } of entries) {
    if (kind !== "file") continue;
    for (let cut = path.lastIndexOf("/"); cut >= 0; cut = path.lastIndexOf("/", cut - 1))
      add(sizes, path.slice(0, cut), size);
    add(sizes, "", size);
    const line = suggestedLine(path, paths);
    if (line !== undefined && !isUsed(line, used)) add(suggestions, line, size);
  }
  const { bytes, files } = sizes.get("") ?? { bytes: 0, files: 0 };
  return { bytes, files, directories: largest(sizes), suggestions: worthwhile(suggestions) };
}

function add(sums: Map<string, { bytes: number; files: number }>, key: string, bytes: number): void {
  const sum = sums.get(key);
  if (sum === undefined) sums.set(key, { bytes, files: 1 });
  else {
    sum.bytes += bytes;
    sum.files++;
  }
}

function suggestedLine(path: string, paths: ReadonlySet<string>): string | undefined {
  const parts = path.split("/");
  for (const [depth, name] of parts.slice(0, -1).entries()) {
    if (madeDirectories.has(name)) return `**/${name}`;
    const beside = (file: string) => paths.has([...parts.slice(0, depth), file].join("/"));
    if (markerOfDirectory[name]?.some(beside)) return parts.slice(0, depth + 1).join("/");
  }
  const kind = largeFileKinds.exec(parts.at(-1)!)?.[0];
  return kind === undefined ? undefined : `**/*${kind}`;
}

/** Copied by name: the build wants it. */
function isUsed(line: string, used: readonly string[]): boolean {
  const name = line.slice(line.lastIndexOf("/") + 1);
  return used.some((pattern) =>
    name.startsWith("*") ? pattern.endsWith(name.slice(1)) : pattern.split("/").includes(name),
  );
}

function largest(sizes: ReadonlyMap<string, { readonly bytes: number; readonly files: number }>): DirectorySize[] {
  const largestPart = new Map<string, number>();
  for (const [path, { bytes }] of sizes) {
    if (path === "") continue;
    const parent = path.slice(0, Math.max(0, path.lastIndexOf("/")));
    largestPart.set(parent, Math.max(largestPart.get(parent) ?? 0, bytes));
  }
  return [...sizes]
    .filter(([path, { bytes }]) => path !== "" && bytes > 0 && (largestPart.get(path) ?? 0) <= mostly * bytes)
    .map(([path, { bytes, files }]) => ({ path, bytes, files }))
    .sort((a, b) => b.bytes - a.bytes || (a.path < b.path ? -1 : 1))
    .slice(0, mostDirectories);
}

const worthwhile = (suggestions: ReadonlyMap<string, { readonly bytes: number; readonly files: number }>) =>
  [...suggestions]
    .filter(([, { bytes }]) => bytes >= leastSuggestedBytes)
    .map(([line, { bytes, files }]): IgnoreSuggestion => ({ line, bytes, files }))
    .sort((a, b) => b.bytes - a.bytes);
