/** One line of a Dockerfile as an instruction. */
import type { CommandForm, FromInstruction, HereDocument, Instruction } from "./ast.ts";
import { parseCopy } from "./copy.ts";
import { parseFlags } from "./flags.ts";
import { parseHealthcheck } from "./healthcheck.ts";
import { parseRun } from "./run.ts";
import { complaint } from "./source-error.ts";
import type { Body, LogicalLine } from "./source-lines.ts";
import { didYouMeanInAnyCase } from "./suggest.ts";
import { quoted, trim } from "./text.ts";
import { jsonArrayOf, pairsOf, quotedWordsOf, type SplitLine, splitLine, wordsOf } from "./words.ts";

type Escape = "\\" | "`";
type AnyInstruction = FromInstruction | Instruction;

interface Input {
  readonly base: Pick<Instruction, "location" | "original" | "keyword" | "comments">;
  readonly line: SplitLine;
  readonly bodies: readonly Body[];
  readonly escapeMark: Escape;
  /** The line, spaces at its ends included. */
  readonly written: string;
  /** The keyword in upper case. */
  readonly name: string;
}

/** The instruction of a line; throws a complaint without place. */
export function parseInstruction(logical: LogicalLine, escapeMark: Escape): AnyInstruction {
  const { text, location, comments } = logical;
  const line = splitLine(text, escapeMark);
  const name = line.keyword.toUpperCase();
  const parse = Object.hasOwn(parsers, name) ? parsers[name] : undefined;
  if (parse === undefined) {
    const known = Object.keys(parsers);
    throw complaint(`unknown instruction: ${line.keyword}${didYouMeanInAnyCase(line.keyword, known)}`, line.keyword);
  }
  const base = { location, original: trim(text), keyword: line.keyword, comments };
  return parse({ base, line, bodies: logical.hereDocuments, escapeMark, name, written: text });
}

const parsers: Readonly<Record<string, (input: Input) => AnyInstruction>> = {
  ADD: ({ base, line, bodies }) => ({ ...base, kind: "add", ...parseCopy("add", line, bodies) }),
  ARG: parseArg,
  CMD: (input) => ({ ...input.base, kind: "cmd", command: commandWithoutFlags(input) }),
  COPY: ({ base, line, bodies }) => ({ ...base, kind: "copy", ...parseCopy("copy", line, bodies) }),
  ENTRYPOINT: (input) => ({ ...input.base, kind: "entrypoint", command: commandWithoutFlags(input) }),
  ENV: (input) => ({ ...input.base, kind: "env", pairs: pairs(input) }),
  EXPOSE: (input) => ({ ...input.base, kind: "expose", values: sorted(atLeastOne(input, wordsOf(input.line.rest))) }),
  FROM: parseFrom,
  HEALTHCHECK: ({ base, line }) => ({
    ...base,
    kind: "healthcheck",
    ...parseHealthcheck(line.rest, line.flags, commandOf),
  }),
  LABEL: (input) => ({ ...input.base, kind: "label", pairs: pairs(input) }),
  MAINTAINER: (input) => ({ ...input.base, kind: "maintainer", text: exactlyOne(input) }),
  ONBUILD: parseOnbuild,
  RUN: ({ base, line, bodies }) => ({
    ...base,
    kind: "run",
    ...parseRun(line.flags, commandOf(line.rest)),
    hereDocuments: bodies.map(withoutRaw),
  }),
  SHELL: (input) => ({ ...input.base, kind: "shell", values: shellOf(input) }),
  // As with ARG, Docker does not look at the flags of this one.
  STOPSIGNAL: (input) => ({ ...input.base, kind: "stopsignal", text: exactlyOne({ ...input, line: flagless(input) }) }),
  USER: (input) => ({ ...input.base, kind: "user", text: exactlyOne(input) }),
  VOLUME: (input) => ({ ...input.base, kind: "volume", values: volumesOf(input) }),
  WORKDIR: (input) => ({ ...input.base, kind: "workdir", text: exactlyOne(input) }),
};

const withoutRaw = ({ raw: _, ...rest }: Body): HereDocument => rest;
const flagless = ({ line }: Input): SplitLine => ({ ...line, flags: [] });

function commandOf(rest: string): CommandForm {
  const argv = jsonArrayOf(rest);
  return argv === undefined ? { form: "shell", text: rest } : { form: "exec", argv };
}

function commandWithoutFlags({ line }: Input): CommandForm {
  parseFlags(line.flags, {});
  return commandOf(line.rest);
}

function pairs({ line, name, escapeMark }: Input): ReturnType<typeof pairsOf> {
  parseFlags(line.flags, {});
  return pairsOf(line.rest, name, escapeMark);
}

function atLeastOne({ line, name }: Input, values: readonly string[]): readonly string[] {
  if (values.length === 0) throw complaint(`${name} requires at least one argument`);
  parseFlags(line.flags, {});
  return values;
}

function exactlyOne({ line, name }: Input): string {
  if (line.rest === "") throw complaint(`${name} requires exactly one argument`);
  parseFlags(line.flags, {});
  return line.rest;
}

/** By bytes, as Docker's history has them. */
const sorted = (values: readonly string[]): readonly string[] =>
  values.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));

function parseFrom({ base, line }: Input): FromInstruction {
  const words = wordsOf(line.rest);
  const [image, asKeyword = "", as = ""] = words;
  const named = words.length === 3 && asKeyword.toLowerCase() === "as";
  if (image === undefined || (words.length !== 1 && !named)) {
    throw complaint("FROM requires either one or three arguments");
  }
  if (named && !/^[a-z][a-z0-9-_.]*$/.test(as.toLowerCase())) {
    const message = `invalid name for build stage: ${quoted(as)}, name can't start with a number or contain symbols`;
    throw complaint(message, as);
  }
  const flags = parseFlags(line.flags, { platform: "text" });
  return { ...base, kind: "from", image, platform: flags.text("platform"), as, asKeyword };
}

function parseArg({ base, line, escapeMark }: Input): Instruction {
  const words = quotedWordsOf(line.rest, escapeMark);
  if (words.length === 0) throw complaint("ARG requires at least one argument");
  const args = words.map((word) => {
    const equals = word.indexOf("=");
    if (equals === 0) throw complaint("ARG names can not be blank", word);
    return equals < 0
      ? { name: word, value: undefined }
      : { name: word.slice(0, equals), value: word.slice(equals + 1) };
  });
  return { ...base, kind: "arg", args };
}

function shellOf(input: Input): readonly string[] {
  parseFlags(input.line.flags, {});
  const values = jsonArrayOf(input.line.rest);
  if (values === undefined && input.line.rest !== "") {
    throw complaint("SHELL requires the arguments to be in JSON form", input.line.rest);
  }
  return atLeastOne(input, values ?? []);
}

function volumesOf(input: Input): readonly string[] {
  const values = jsonArrayOf(input.line.rest) ?? wordsOf(input.line.rest);
  return atLeastOne(input, values).map((value) => {
    const path = trim(value);
    if (path === "") throw complaint("VOLUME specified can not be an empty string");
    return path;
  });
}

/** The trigger is taken apart when a child image is built; only what can never be one is refused here. */
function parseOnbuild({ base, line, bodies, escapeMark, written }: Input): Instruction {
  if (line.rest === "") throw complaint("ONBUILD requires at least one argument");
  parseFlags(line.flags, {});
  const trigger = /^\S+/.exec(line.rest)![0].toUpperCase();
  if (trigger === "ONBUILD") throw complaint("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  if (trigger === "MAINTAINER" || trigger === "FROM") {
    throw complaint(`${trigger} isn't allowed as an ONBUILD trigger`, line.rest);
  }
  checkTrigger(splitLine(line.rest, escapeMark), escapeMark);
  const text = written.replace(/^\s*onbuild\s*/i, "");
  const expression = bodies.reduce((all, body) => `${all}\n${body.raw}${body.name}`, text);
  return { ...base, kind: "onbuild", expression };
}

/** What Docker's line parser refuses, whoever runs it; whether the instruction can be done is seen when it is. */
function checkTrigger({ keyword, rest }: SplitLine, escapeMark: Escape): void {
  const name = keyword.toUpperCase();
  if (name === "ENV" || name === "LABEL") {
    if (rest !== "") pairsOf(rest, name, escapeMark);
  } else if (["ADD", "CMD", "COPY", "ENTRYPOINT", "RUN", "SHELL", "VOLUME"].includes(name)) {
    jsonArrayOf(rest);
  }
}
