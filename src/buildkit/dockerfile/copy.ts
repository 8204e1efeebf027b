/** COPY and ADD. */
import type { CopyInstruction, HereDocument } from "./ast.ts";
import { type FlagTable, parseFlags } from "./flags.ts";
import { parseMark, withoutLeadingTabs } from "./here-document.ts";
import { complaint } from "./source-error.ts";
import type { Body } from "./source-lines.ts";
import { jsonArrayOf, type SplitLine, wordsOf } from "./words.ts";

type Fields = Omit<CopyInstruction, "kind" | "location" | "original" | "keyword" | "comments">;

const shared: FlagTable = { chown: "text", chmod: "text", link: "flag", exclude: "texts" };
const flagsOf: Readonly<Record<"copy" | "add", FlagTable>> = {
  copy: { ...shared, from: "text", parents: "flag" },
  add: { ...shared, "keep-git-dir": "flag", checksum: "text", unpack: "flag" },
};

export function parseCopy(kind: "copy" | "add", line: SplitLine, bodies: readonly Body[]): Fields {
  const name = kind.toUpperCase();
  const array = jsonArrayOf(line.rest);
  const words = array ?? wordsOf(line.rest);
  if (words.length < 2) {
    const message = `${name} requires at least two arguments, but only one was provided. Destination could not be determined`;
    throw complaint(message);
  }
  const flags = parseFlags(line.flags, flagsOf[kind]);
  const destination = words.at(-1)!;
  if (array === undefined && isMark(destination)) {
    throw complaint(`${name} cannot accept a heredoc as a destination`, destination);
  }
  const given = words.slice(0, -1);
  return {
    sources: array === undefined ? given.filter((word) => !isMark(word)) : given,
    destination,
    hereDocuments: array === undefined ? given.flatMap((word) => bodyOf(word, bodies)) : [],
    from: flags.text("from"),
    chown: flags.text("chown"),
    chmod: flags.text("chmod"),
    link: flags.flag("link") ?? false,
    parents: flags.flag("parents") ?? false,
    excludes: flags.texts("exclude"),
    checksum: flags.text("checksum"),
    keepGitDirectory: flags.flag("keep-git-dir"),
    unpack: flags.flag("unpack"),
  };
}

function markOf(word: string): ReturnType<typeof parseMark> {
  try {
    return parseMark(word);
  } catch {
    // An open quote behind "<<": a source's odd name and no here-document.
    return undefined;
  }
}

const isMark = (word: string): boolean => markOf(word) !== undefined;

function bodyOf(word: string, bodies: readonly Body[]): readonly HereDocument[] {
  const mark = markOf(word);
  if (mark === undefined) return [];
  const raw = bodies.findLast((body) => body.name === mark.name)?.raw ?? "";
  return [{ ...mark, data: mark.chomp ? withoutLeadingTabs(raw) : raw }];
}
