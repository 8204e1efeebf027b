/** From a file's bytes to its lines, and from those to instructions: continuations joined, comments and here-documents taken out. */
import type { SourceRange } from "../graph/vertex.ts";
import type { Directives, HereDocument } from "./ast.ts";
import { type Mark, marksOf, withoutLeadingTabs } from "./here-document.ts";
import { atPlace, complaint, type SourceError } from "./source-error.ts";
import { trim, trimStart } from "./text.ts";
import { jsonArrayOf, splitLine } from "./words.ts";

/** Docker's limit: what its line reader's buffer holds. */
const longestLine = 65535;
/** Docker has no such limit; it is far above every file that somebody wrote and bounds what a bad one costs. */
const largestFile = 4 * 1024 * 1024;

/** A here-document with its body as the file has it. */
export type Body = HereDocument & { readonly raw: string };

/** One instruction. */
export interface LogicalLine {
  readonly text: string;
  readonly location: SourceRange;
  readonly comments: readonly string[];
  readonly hereDocuments: readonly Body[];
  readonly hasEmptyContinuation: boolean;
}

/** The file's lines without "\n". What is too long is refused before it is decoded: the cost does not grow with its length. */
export function readLines(data: Buffer, file: string): readonly string[] {
  const start = data[0] === 0xef && data[1] === 0xbb && data[2] === 0xbf ? 3 : 0;
  const within = data.subarray(start, start + largestFile + 1);
  let number = 1;
  for (let at = 0; at < within.length; number++) {
    const newline = within.indexOf(0x0a, at);
    const end = newline < 0 ? within.length : newline;
    if (end - at > longestLine) {
      throw tooLarge(`dockerfile line greater than max allowed size of ${longestLine}`, within, { file, number, at });
    }
    at = end + 1;
  }
  if (within.length > largestFile) {
    throw tooLarge(`dockerfile greater than max allowed size of ${largestFile}`, within, { file, number: 1, at: 0 });
  }
  return within.toString("utf8").split("\n");
}

interface LineStart {
  readonly file: string;
  readonly number: number;
  /** Offset of its first byte. */
  readonly at: number;
}

/** Shows the beginning of the line and what stands before it. */
function tooLarge(message: string, data: Buffer, { file, number, at }: LineStart): SourceError {
  const lines = shown(
    data
      .toString("utf8", 0, at + 500)
      .split("\n")
      .slice(0, number),
  );
  return atPlace(complaint(message), { file, startLine: number, endLine: number }, lines);
}

/** The lines as errors show them. */
export const shown = (lines: readonly string[]): readonly string[] => lines.map(withoutReturn);

function withoutReturn(line: string): string {
  let end = line.length;
  while (line[end - 1] === "\r") end--;
  return line.slice(0, end);
}

const isComment = (line: string): boolean => trimStart(line).startsWith("#");

/** A cursor over the lines of one file. */
export class LineReader {
  #at = 0;
  #comments: string[] = [];
  readonly #directiveLines: ReadonlySet<number>;

  constructor(
    private readonly file: string,
    private readonly lines: readonly string[],
    private readonly directives: Directives,
  ) {
    this.#directiveLines = new Set(Object.values(directives.locations).map((location) => location.startLine));
  }

  /** The next instruction; undefined at the end of the file. */
  next(): LogicalLine | undefined {
    while (this.#at < this.lines.length) {
      const written = this.lines[this.#at++]!;
      const line = written === "" ? "" : trimStart(withoutReturn(written));
      if (isComment(line)) this.#comment(line);
      else if (line !== "") return this.#instruction(line);
    }
    return undefined;
  }

  /** An empty comment parts those above it from the instruction. */
  #comment(line: string): void {
    if (this.#directiveLines.has(this.#at)) return;
    const text = trim(line.slice(1));
    if (text === "") this.#comments = [];
    else this.#comments.push(text);
  }

  #instruction(first: string): LogicalLine {
    const startLine = this.#at;
    const comments = this.#comments;
    this.#comments = [];
    const { text, hasEmptyContinuation } = this.#joined(first);
    const location = (): SourceRange => ({ file: this.file, startLine, endLine: this.#at });
    try {
      const hereDocuments = marksIn(text, this.directives.escape).map((mark) => this.#body(mark));
      return { text, location: location(), comments, hereDocuments, hasEmptyContinuation };
    } catch (error) {
      throw atPlace(error, location(), shown(this.lines));
    }
  }

  /** Comments and empty lines between continued lines are left out. */
  #joined(first: string): { readonly text: string; readonly hasEmptyContinuation: boolean } {
    const escapeMark = this.directives.escape;
    let hasEmptyContinuation = false;
    let { text, continues } = continuation(first, escapeMark);
    const parts = [text];
    while (continues && this.#at < this.lines.length && !this.#isEnd()) {
      const line = withoutReturn(this.lines[this.#at++]!);
      if (isComment(line)) continue;
      if (trimStart(line) === "") {
        hasEmptyContinuation = true;
        continue;
      }
      ({ text, continues } = continuation(line, escapeMark));
      parts.push(text);
    }
    return { text: parts.join(""), hasEmptyContinuation };
  }

  /** What follows the file's last newline is no line. */
  #isEnd(): boolean {
    return this.#at === this.lines.length - 1 && this.lines[this.#at] === "";
  }

  #body(mark: Mark): Body {
    const start = this.#at;
    for (; this.#at < this.lines.length && !this.#isEnd(); this.#at++) {
      const line = withoutReturn(this.lines[this.#at]!);
      if ((mark.chomp ? line.replace(/^\t+/, "") : line) !== mark.name) continue;
      const raw = this.lines.slice(start, this.#at).map((text) => `${text}\n`);
      this.#at++;
      const body = raw.join("");
      return { ...mark, raw: body, data: mark.chomp ? withoutLeadingTabs(body) : body };
    }
    throw complaint(`unterminated heredoc: no line is "${mark.name}"`, `<<`);
  }
}

/** The line without its continuation mark: the escape character at the end, unless another one stands before it. */
function continuation(line: string, escapeMark: string): { readonly text: string; readonly continues: boolean } {
  let end = line.length;
  while (line[end - 1] === " " || line[end - 1] === "\t") end--;
  const continues = line[end - 1] === escapeMark && line[end - 2] !== escapeMark;
  return continues ? { text: line.slice(0, end - 1), continues } : { text: line, continues };
}

/** Instructions whose line may have here-documents, when it is not in JSON form. */
const hereDocumentKeywords: ReadonlySet<string> = new Set(["add", "copy", "run"]);

function marksIn(text: string, escapeMark: "\\" | "`"): readonly Mark[] {
  if (!text.includes("<<")) return [];
  const whole = splitLine(text, escapeMark);
  const line = whole.keyword.toLowerCase() === "onbuild" ? splitLine(whole.rest, escapeMark) : whole;
  const takes = hereDocumentKeywords.has(line.keyword.toLowerCase()) && jsonArrayOf(line.rest) === undefined;
  return takes ? marksOf(text) : [];
}
