/** Why a source of COPY or ADD is not there, in the words of each builder, and what was probably meant. */
import { HullError } from "../../platform/errors.ts";
import { IgnorePatterns } from "./ignore.ts";
import type { SelectRequest } from "./select.ts";
import { nearestPath, type TreeView } from "./tree-view.ts";

type Asked = Pick<SelectRequest, "instruction" | "dialect" | "isContext" | "ignored">;

/** The facts name the path, the suggestion and the ignore pattern for programs. */
export function notFound(view: TreeView, asked: Asked, path: string): HullError {
  const { ignored = [] } = asked;
  const pattern = asked.isContext && ignored.length > 0 ? new IgnorePatterns(ignored).reason(path) : undefined;
  const near = pattern === undefined ? nearestPath(view, path) : undefined;
  const facts = {
    path: `/${path}`,
    ...(pattern === undefined ? {} : { ignoredBy: pattern }),
    ...(near === undefined ? {} : { suggestion: `/${near}` }),
  };
  const hint = hintOf(asked.dialect === "classic" ? "" : "/", pattern, near);
  return new HullError("not-found", `${reason(asked, path)}${hint}`, { facts });
}

function reason({ instruction, dialect, isContext }: Asked, path: string): string {
  if (dialect === "buildkit") return `failed to compute cache key: failed to calculate checksum: "/${path}": not found`;
  const where = isContext ? "file not found in build context or excluded by .dockerignore: " : "";
  return `${instruction} failed: ${where}stat ${path}: file does not exist`;
}

function hintOf(slash: string, pattern: string | undefined, near: string | undefined): string {
  if (pattern !== undefined) return ` (the pattern ${JSON.stringify(pattern)} of .dockerignore leaves it out)`;
  return near === undefined ? "" : ` (did you mean ${JSON.stringify(slash + near)}?)`;
}

/** Docker prints the place it would have been at between the parentheses; there is none. */
export const outsideContext = ({ instruction }: Asked, source: string): HullError =>
  new HullError("invalid-argument", `${instruction} failed: forbidden path outside the build context: ${source} ()`);
