// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the texts are a Dockerfile's
import assert from "node:assert/strict";
import { performance } from "node:perf_hooks";
import { describe, test } from "node:test";
import { during, HullError } from "../../platform/errors.ts";
import { parseDockerfile } from "./parse.ts";
import { dockerfileError, type SourceError, sourceOf } from "./source-error.ts";

function errorOf(data: string | Buffer): SourceError {
  try {
    parseDockerfile(typeof data === "string" ? Buffer.from(data) : data, "Dockerfile");
  } catch (error) {
    const source = sourceOf(error);
    assert.ok(source, String(error));
    return source;
  }
  return assert.fail(`this was accepted: ${String(data).slice(0, 100)}`);
}

type Case = readonly [text: string, message: string | RegExp, line: number, column: number];

/** After "FROM a\n": line 2 is the first. */
const instructions: readonly Case[] = [
  ["RUNN x", "unknown instruction: RUNN (did you mean RUN?)", 2, 1],
  ["  copyy a b", "unknown instruction: copyy (did you mean copy?)", 2, 3],
  ["XYZZY", "unknown instruction: XYZZY", 2, 1],
  ["COPY --form=b a c", "unknown flag: --form (did you mean from?)", 2, 6],
  ["COPY --link=maybe a b", "expecting boolean value for flag --link, not: maybe", 2, 6],
  ["COPY --link= a b", "missing a value on flag: --link", 2, 6],
  ["COPY --from a b", "missing a value on flag: --from", 2, 6],
  ["COPY --from=a --from=b c d", "duplicate flag specified: --from", 2, 6],
  ["ADD --from=a c d", "unknown flag: --from", 2, 5],
  ["CMD --x", "unknown flag: --x", 2, 5],
  [
    "COPY a",
    "COPY requires at least two arguments, but only one was provided. Destination could not be determined",
    2,
    1,
  ],
  ["COPY a <<E\nE", "COPY cannot accept a heredoc as a destination", 2, 8],
  ['RUN ["a", 1]', "when using JSON array syntax, arrays must be comprised of strings only", 2, 11],
  ["SHELL sh -c", "SHELL requires the arguments to be in JSON form", 2, 7],
  ["SHELL []", "SHELL requires at least one argument", 2, 1],
  ["ENV", "ENV requires at least one argument", 2, 1],
  ["ENV a", "ENV must have two arguments", 2, 5],
  ["ENV a=b c", 'Syntax error - can\'t find = in "c". Must be of the form: name=value', 2, 9],
  ["LABEL =b", "LABEL names can not be blank", 2, 7],
  ["ARG", "ARG requires at least one argument", 2, 1],
  ["ARG =b", "ARG names can not be blank", 2, 5],
  ["WORKDIR", "WORKDIR requires exactly one argument", 2, 1],
  ["EXPOSE", "EXPOSE requires at least one argument", 2, 1],
  ['VOLUME [" "]', "VOLUME specified can not be an empty string", 2, 1],
  ["FROM a b", "FROM requires either one or three arguments", 2, 1],
  ["FROM a AS 1x", 'invalid name for build stage: "1x", name can\'t start with a number or contain symbols', 2, 11],
  ["HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments", 2, 18],
  ["HEALTHCHECK curl x", 'Unknown type "CURL" in HEALTHCHECK (try CMD)', 2, 13],
  ["HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD", 2, 1],
  ["HEALTHCHECK --interval=5 CMD x", 'time: missing unit in duration "5"', 2, 24],
  ["HEALTHCHECK --interval=5x CMD x", 'time: unknown unit "x" in duration "5x"', 2, 24],
  ["HEALTHCHECK --timeout=1us CMD x", 'Interval "timeout" cannot be less than 1ms', 2, 23],
  ["HEALTHCHECK --retries=-1 CMD x", "--retries cannot be negative (-1)", 2, 23],
  ["ONBUILD ONBUILD RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed", 2, 1],
  ["ONBUILD FROM a", "FROM isn't allowed as an ONBUILD trigger", 2, 9],
  ["RUN --network=net x", 'invalid network mode "net"', 2, 14],
  ["RUN --security=x x", 'security "x" is not valid', 2, 15],
  ["RUN --mount=type x", "invalid field 'type' must be a key=value pair", 2, 13],
  ["RUN --mount=from=$x,target=/a x", "'from' doesn't support variable expansion, define alias stage instead", 2, 13],
  ["RUN <<EOF\nnever ends", 'unterminated heredoc: no line is "EOF"', 2, 5],
  ["RUN a \\\n  --x\nCOPY --linkk a \\\n b", "unknown flag: --linkk (did you mean link?)", 4, 6],
];

describe("errors have Docker's words and a place", () => {
  for (const [text, message, line, column] of instructions) {
    test(JSON.stringify(text), () => {
      const error = errorOf(`FROM a\n${text}\n`);
      assert.equal(error.code, "invalid-argument");
      assert.equal(error.message, `dockerfile parse error on line ${error.range.startLine}: ${message}`);
      assert.deepEqual([error.facts.file, error.facts.line, error.column], ["Dockerfile", line, column]);
    });
  }
});

const files: readonly (readonly [text: string, message: string])[] = [
  ["", "the Dockerfile (Dockerfile) cannot be empty"],
  ["# nothing\n\n", "file with no instructions"],
  ["ARG a\n", "dockerfile contains no stages to build"],
  ["RUN a\n", "dockerfile parse error on line 1: no build stage in current context"],
  ["#escape=`\n# escape=`\nFROM a\n", "dockerfile parse error on line 2: only one escape parser directive can be used"],
  ["# escape=x\nFROM a\n", "dockerfile parse error on line 1: invalid escape token 'x' does not match ` or \\"],
];

describe("files that are no Dockerfile", () => {
  for (const [text, message] of files) {
    test(JSON.stringify(text), () => assert.equal(errorOf(text).message, message));
  }
});

test("a line above 64 KiB is refused, one of 64 KiB is not", () => {
  const line = (length: number): string => `FROM a\nRUN ${"x".repeat(length - 4)}\n`;
  parseDockerfile(Buffer.from(line(65535)), "Dockerfile");
  const error = errorOf(line(65536));
  assert.match(error.message, /on line 2: dockerfile line greater than max allowed size of 65535$/);
  assert.ok(error.excerpt.length < 2000, "the excerpt is short");
});

test("a line of 100 MB and a file of 100 MB cost next to nothing to refuse", () => {
  for (const data of [Buffer.alloc(100_000_000, "x"), Buffer.alloc(100_000_000, "RUN x\n")]) {
    const start = performance.now();
    assert.match(errorOf(data).message, /greater than max allowed size/);
    assert.ok(performance.now() - start < 1500, "far below the time of reading it all");
  }
});

test("a file of more instructions than any image can have is refused before it costs much", () => {
  assert.match(
    errorOf("FROM a\n".repeat(20_000)).message,
    /on line 10001: dockerfile has more than 10000 instructions$/,
  );
});

test("the excerpt shows the lines around, marks the wrong ones and points at the character", () => {
  assert.equal(
    errorOf("FROM a\n\nRUN x\nCOPY --form=b a c\nRUN y\n").excerpt,
    [
      "Dockerfile:4",
      "--------------------",
      "   2 |     ",
      "   3 |     RUN x",
      "   4 | >>> COPY --form=b a c",
      "     |          ^",
      "   5 |     RUN y",
      "   6 |     ",
      "--------------------",
      "",
    ].join("\n"),
  );
  assert.equal(
    errorOf("FROM a\nRUNN \\\n x\n").excerpt,
    [
      "Dockerfile:2",
      "--------------------",
      "   1 |     FROM a",
      "   2 | >>> RUNN \\",
      "   3 | >>>  x",
      "   4 |     ",
      "--------------------",
      "",
    ].join("\n"),
  );
});

test("the place is found again through the errors that were wrapped around it", () => {
  const place = { range: { file: "Dockerfile", startLine: 1, endLine: 1 }, lines: ["RUN false"], token: "" };
  const inner = dockerfileError("failed-precondition", "process did not complete successfully", place);
  const outer = during("build", during("solve", inner));
  assert.equal(outer.code, "failed-precondition");
  assert.equal(sourceOf(outer), inner);
  assert.equal(sourceOf(new HullError("internal", "x")), undefined);
});
