/** What the tidy tests look at: the files git knows, with their text. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = join(dirname(fileURLToPath(import.meta.url)), "../..");

/** Tracked and new, not ignored files below `prefixes` with one of `endings`, relative to the root. */
export function sourceFiles(prefixes: readonly string[], endings: readonly string[]): string[] {
  const listed = execFileSync("git", ["ls-files", "-co", "--exclude-standard", "--", ...prefixes], { cwd: root });
  return listed
    .toString()
    .split("\n")
    .filter((path) => endings.some((ending) => path.endsWith(ending)) && existsSync(join(root, path)));
}

export const readSource = (path: string): string => readFileSync(join(root, path), "utf8");

/** Generated code, tables of facts and conformance suites: exempt from the size limits. */
export const isExempt = (path: string): boolean =>
  /(^|\/)(gen|generated)\//.test(path) ||
  /(-table|-tables|-suite|-names)\.ts$/.test(path) ||
  path.endsWith("operations.h");
