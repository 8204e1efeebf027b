/** Here-documents: the marks in an instruction's line, and the bodies behind it. */
import type { HereDocument } from "./ast.ts";
import { analyze, type ExpandMode } from "./expand.ts";

/** A "<<EOF" of an instruction. */
export type Mark = Omit<HereDocument, "data">;

const nothingSet = { find: () => undefined };
const lexing: ExpandMode = { escape: "\\", keepUnset: true };

/** The word as a mark; undefined when it is none. Quotes anywhere in the name mean that the body is taken as it is. */
export function parseMark(word: string): Mark | undefined {
  const match = /^(\d*)<<(-?)([^<]+)$/.exec(word);
  const rest = match?.[3]?.trimStart() ?? "";
  if (match === null || rest === "") return undefined;
  const plain = analyze(rest, nothingSet, lexing).words;
  if (plain.length !== 1) return undefined;
  const raw = analyze(rest, nothingSet, { ...lexing, rawQuotes: true }).text;
  const name = plain[0]!;
  return {
    name,
    expand: quotes(name) === quotes(raw),
    descriptor: Number(match[1] ?? 0),
    chomp: match[2] === "-",
  };
}

const quotes = (text: string): number => text.length - text.replaceAll(/['"]/g, "").length;

/** The marks of an instruction's line, in order. What is no shell word (an open quote) has none. */
export function marksOf(line: string): readonly Mark[] {
  if (!line.includes("<<")) return [];
  let words: readonly string[];
  try {
    words = analyze(line, nothingSet, { ...lexing, rawQuotes: true, rawEscapes: true }).words;
  } catch {
    return [];
  }
  return words.map(parseMark).filter((mark) => mark !== undefined);
}

/** Without the tabs that "<<-" takes from each line. */
export const withoutLeadingTabs = (text: string): string => text.replaceAll(/(^|\n)\t+/g, "$1");
