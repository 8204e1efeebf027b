/** Errors that belong to a place in a Dockerfile: they name it and can show it. */
import { type ErrorCode, HullError, messageOf } from "../../platform/errors.ts";
import type { SourceRange } from "../graph/vertex.ts";

/** Where an error stands: `column` counts from 1; `excerpt` shows the lines, the marked ones with ">>>". */
export class SourceError extends HullError {
  readonly range: SourceRange;
  readonly column: number;
  readonly excerpt: string;

  constructor(code: ErrorCode, message: string, place: Place, options: { readonly cause?: unknown } = {}) {
    const { range } = place;
    const position = positionOf(place);
    super(code, message, {
      cause: options.cause,
      facts: { file: range.file, line: position.line, endLine: range.endLine, column: position.column },
    });
    this.range = range;
    this.column = position.column;
    this.excerpt = formatExcerpt(range, place.lines, position);
  }
}

export interface Place {
  readonly range: SourceRange;
  /** Of the whole file. */
  readonly lines: readonly string[];
  /** What is wrong, as it is written; "" is the whole instruction. */
  readonly token: string;
}

/** A defect found where its place in the file is not known: `atPlace` adds that. The token is what is wrong, as it is written. */
export const complaint = (message: string, token = ""): HullError =>
  new HullError("invalid-argument", message, { facts: { token } });

/** The error with the place it was found at; one that knows its place stays as it is. */
export function atPlace(error: unknown, range: SourceRange, lines: readonly string[]): SourceError {
  if (error instanceof SourceError) return error;
  const token = error instanceof HullError ? String(error.facts.token ?? "") : "";
  const code = error instanceof HullError ? error.code : "invalid-argument";
  const message = `dockerfile parse error on line ${range.startLine}: ${messageOf(error)}`;
  return new SourceError(code, message, { range, lines, token }, { cause: error });
}

/** For later stages (expansion, conversion, a step that failed): the message stays, the place is added. */
export const dockerfileError = (code: ErrorCode, message: string, place: Place, cause?: unknown): SourceError =>
  new SourceError(code, message, place, { cause });

/** The place that an error or one of its causes has. */
export function sourceOf(error: unknown): SourceError | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 32; at = at.cause, depth++) {
    if (at instanceof SourceError) return at;
  }
  return undefined;
}

interface Position {
  readonly line: number;
  readonly column: number;
}

function positionOf({ range, lines, token }: Place): Position {
  for (let line = range.startLine; token !== "" && line <= range.endLine; line++) {
    const found = (lines[line - 1] ?? "").indexOf(token);
    if (found >= 0) return { line, column: found + 1 };
  }
  const first = lines[range.startLine - 1] ?? "";
  return { line: range.startLine, column: first.length - first.trimStart().length + 1 };
}

/** As many lines around the place as BuildKit shows, in its form; with a position, a "^" below the character. */
export function formatExcerpt(range: SourceRange, lines: readonly string[], position?: Position): string {
  if (range.startLine < 1 || range.startLine > lines.length) return "";
  const rule = "--------------------";
  const [first, last] = linesShown(range, lines.length);
  const shown = [`${range.file}:${range.startLine}`, rule];
  for (let line = first; line <= last; line++) {
    const marked = line >= range.startLine && line <= range.endLine;
    shown.push(` ${String(line).padStart(3)} | ${marked ? ">>>" : "   "} ${shortened(lines[line - 1]!)}`);
    const below = position?.line === line && position.column > 1 && position.column < longestShown;
    if (below) shown.push(`     |     ${lines[line - 1]!.slice(0, position.column - 1).replace(/[^\t]/g, " ")}^`);
  }
  return `${[...shown, rule].join("\n")}\n`;
}

const longestShown = 400;
const shortened = (line: string): string => (line.length > longestShown ? `${line.slice(0, longestShown)}...` : line);

/** Up to four lines around one, up to two around several. */
function linesShown(range: SourceRange, count: number): readonly [first: number, last: number] {
  let first = range.startLine;
  let last = Math.min(range.endLine, count);
  const around = range.endLine === range.startLine ? 4 : 2;
  for (let added = 0; added < around; added++) {
    if (first > 1) [first, added] = [first - 1, added + 1];
    if (last < count) [last, added] = [last + 1, added + 1];
  }
  return [first, last];
}
