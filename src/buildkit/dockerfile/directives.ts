/** The lines at the top that speak to the parser: `# syntax=`, `# escape=`, `# check=`. */
import type { SourceRange } from "../graph/vertex.ts";
import type { Directives } from "./ast.ts";
import { complaint } from "./source-error.ts";
import { trimStart } from "./text.ts";

type DirectiveName = "syntax" | "escape" | "check";

const isDirectiveName = (name: string): name is DirectiveName =>
  name === "syntax" || name === "escape" || name === "check";

/** Name and value of a directive, its comment mark gone; undefined for any other text. */
export function parseDirective(text: string): { readonly name: DirectiveName; readonly value: string } | undefined {
  const match = /^([a-zA-Z][a-zA-Z0-9]*)[\t\n\f\r ]*=(.+)$/.exec(trimStart(text));
  const name = match?.[1]?.toLowerCase() ?? "";
  const value = match?.[2]?.trim() ?? "";
  return isDirectiveName(name) && value !== "" ? { name, value } : undefined;
}

/** A directive that cannot be; `line` counts from 1. */
type Failure = (line: number, error: unknown) => never;

/**
 * The directives of a file: before any other comment, any instruction and any empty line, each at most once. The comment mark is "#";
 * `# syntax=` may also be `// syntax=` for languages that have their own comments. "#!" in the first line is skipped.
 */
export function parseDirectives(file: string, lines: readonly string[], failure: Failure): Directives {
  const found: Partial<Record<DirectiveName, { value: string; location: SourceRange }>> = {};
  for (let index = lines[0]?.startsWith("#!") ? 1 : 0; index < lines.length; index++) {
    const line = trimStart(lines[index]!);
    const directive = line.startsWith("#") ? parseDirective(line.slice(1)) : undefined;
    if (directive === undefined) break;
    const { name, value } = directive;
    if (found[name] !== undefined) {
      failure(index + 1, complaint(`only one ${name} parser directive can be used`));
    }
    if (name === "escape" && value !== "\\" && value !== "`") {
      failure(index + 1, complaint(`invalid escape token '${value}' does not match \` or \\`, value));
    }
    found[name] = { value, location: { file, startLine: index + 1, endLine: index + 1 } };
  }
  const { syntax, escape: escapeMark, check } = found;
  return {
    syntax: firstWord(syntax?.value ?? foreignSyntax(lines)),
    escape: escapeMark?.value === "`" ? "`" : "\\",
    check: firstWord(check?.value ?? ""),
    locations: {
      ...(syntax && { syntax: syntax.location }),
      ...(escapeMark && { escape: escapeMark.location }),
      ...(check && { check: check.location }),
    },
  };
}

const firstWord = (value: string): string => value.split(" ", 1)[0]!;

/** The syntax of a file that is written in another language: `// syntax=image` or the key "syntax" of a JSON object. */
function foreignSyntax(lines: readonly string[]): string {
  const first = lines[lines[0]?.startsWith("#!") ? 1 : 0] ?? "";
  if (first.startsWith("//")) {
    const directive = parseDirective(first.slice(2));
    return directive?.name === "syntax" ? directive.value : "";
  }
  if (!first.trimStart().startsWith("{")) return "";
  try {
    const document: unknown = JSON.parse(lines.join("\n"));
    if (typeof document !== "object" || document === null || !("syntax" in document)) return "";
    return typeof document.syntax === "string" ? document.syntax : "";
  } catch {
    // Not JSON: no directive either; the parser says what is wrong with it.
    return "";
  }
}
