// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the texts are a Dockerfile's
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { HullError } from "../../platform/errors.ts";
import { analyze, type ExpandMode, expand, expandWords, hereDocumentMode } from "./expand.ts";

const variables: Readonly<Record<string, string>> = {
  A: "apple",
  EMPTY: "",
  PATH: "/usr/local/bin:/usr/bin",
  SPACED: " one  two ",
  FILE: "a.tar.gz",
  KOREAN: "한국어",
};
const scope = { find: (name: string) => (Object.hasOwn(variables, name) ? variables[name] : undefined) };
const backslash: ExpandMode = { escape: "\\" };
const fails = Symbol("fails");

type Case = readonly [text: string, result: string | typeof fails];

const groups: Readonly<Record<string, readonly Case[]>> = {
  "plain variables": [
    ["$A pie", "apple pie"],
    ["${A}pie", "applepie"],
    ["$Apie", ""],
    ["$UNSET.", "."],
    ["$", "$"],
    ["$.", "$."],
    ["안녕$KOREAN", "안녕한국어"],
    ["${", fails],
    ["${}", fails],
    ["${A", fails],
    ["${{A}}", fails],
    ["${.}", fails],
    ["${:-x}", fails],
  ],
  "positional and special parameters, which no Dockerfile has": [
    ["a$1b", "ab"],
    ["$12x", "x"],
    ["${12:-d}", "d"],
    ["$@$*$#$?$-$$$!$0", ""],
    ["${?:-d}", "d"],
  ],
  defaults: [
    ["${UNSET:-d}", "d"],
    ["${UNSET-d}", "d"],
    ["${EMPTY:-d}", "d"],
    ["${EMPTY-d}", ""],
    ["${A:-d}", "apple"],
    ["${UNSET:-}", ""],
    ["${UNSET:-${A}}", "apple"],
    ["${UNSET:-${ALSO:-$A}}x", "applex"],
    ["${UNSET:-'$A'}", "$A"],
    ["${UNSET:-a b}", "a b"],
    ["${UNSET:-d", fails],
    ["${A:=d}", fails],
    ["${A:x}", fails],
  ],
  alternatives: [
    ["${A:+d}", "d"],
    ["${A+d}", "d"],
    ["${EMPTY:+d}", ""],
    ["${EMPTY+d}", "d"],
    ["${UNSET+d}", ""],
    ["${A:+${A}:}/bin", "apple:/bin"],
  ],
  "required variables": [
    ["${A:?no}", "apple"],
    ["${EMPTY?no}", ""],
    ["${EMPTY:?no}", fails],
    ["${UNSET?}", fails],
  ],
  "prefixes and suffixes": [
    ["${PATH#/usr/}", "local/bin:/usr/bin"],
    ["${PATH#*/}", "usr/local/bin:/usr/bin"],
    ["${PATH##*/}", "bin"],
    ["${PATH%/*}", "/usr/local/bin:/usr"],
    ["${PATH%%/*}", ""],
    ["${PATH%%:*}", "/usr/local/bin"],
    ["${FILE%.*}", "a.tar"],
    ["${FILE%%.*}", "a"],
    ["${FILE#??}", "tar.gz"],
    ["${FILE%???}", "a.tar"],
    ["${FILE#nothing}", "a.tar.gz"],
    ["${FILE#\\*}", "a.tar.gz"],
    ["${FILE%$UNSET}", "a.tar.gz"],
    ["${KOREAN%?}", "한국"],
    ["${UNSET#x}", ""],
    ["${FILE#\\q}", fails],
    ["${FILE:#a}", fails],
  ],
  replacements: [
    ["${A/p/b}", "abple"],
    ["${A//p/b}", "abble"],
    ["${A//p/}", "ale"],
    ["${A/p*/b}", "ab"],
    ["${PATH//\\//-}", "-usr-local-bin:-usr-bin"],
    ["${PATH//:/ }", "/usr/local/bin /usr/bin"],
    ["${A/z/b}", "apple"],
    ["${A/$UNSET/b}", "bapple"],
    ["${A//?/x}", "xxxxx"],
    ["${A/p}", fails],
    ["${A/p/b", fails],
  ],
  "quotes and escapes": [
    ["'$A'", "$A"],
    ['"$A"', "apple"],
    ["\"'$A'\"", "'apple'"],
    ["\\$A", "$A"],
    ["\\\\$A", "\\apple"],
    ['"\\$A"', "$A"],
    ['"a\\tb"', "a\\tb"],
    ["a\\tb", "atb"],
    ["a\\ b", "a b"],
    ["end\\", "end"],
    ["'open", fails],
    ['"open', fails],
    ["it\\'s", "it's"],
  ],
};

for (const [name, cases] of Object.entries(groups)) {
  describe(`expansion of ${name}`, () => {
    for (const [text, wanted] of cases) {
      test(wanted === fails ? `${text} is refused` : `${text} is "${wanted}"`, () => {
        if (wanted !== fails) return assert.equal(expand(text, scope, backslash), wanted);
        assert.throws(
          () => expand(text, scope, backslash),
          (error) => error instanceof HullError && error.code === "invalid-argument",
        );
      });
    }
  });
}

test("a required variable's message is part of the error", () => {
  assert.throws(() => expand("${V:?set it}", scope, backslash), /failed to process ".*": V: set it$/);
  assert.throws(() => expand("${V?}", scope, backslash), /V: is not allowed to be unset/);
});

test("words are split after the expansion, but not inside quotes", () => {
  const cases: readonly (readonly [string, readonly string[]])[] = [
    ["a$SPACED!", ["a", "one", "two", "!"]],
    ['a"$SPACED"!', ["a one  two !"]],
    ["80 443/tcp", ["80", "443/tcp"]],
    ["a\\ b c", ["a b", "c"]],
    ["a${UNSET:-b c}", ["ab", "c"]],
    ["''", []],
  ];
  for (const [text, words] of cases) assert.deepEqual(expandWords(text, scope, backslash), words, text);
});

test("the modes keep what they are named after", () => {
  const cases: readonly (readonly [ExpandMode, string, string])[] = [
    [{ escape: "`" }, "`$A \\$A", "$A \\apple"],
    [{ escape: "\\", rawQuotes: true }, "'a' \"$A\"", "'a' \"apple\""],
    [{ escape: "\\", rawEscapes: true }, "\\a\\$b", "\\a\\$b"],
    [
      { escape: "\\", keepUnset: true },
      "$UNSET ${UNSET:-d} ${UNSET//x/y} $A",
      "$UNSET ${UNSET:-d} ${UNSET//x/y} apple",
    ],
    [hereDocumentMode, 'it\'s "$A" \\$A', 'it\'s "apple" $A'],
  ];
  for (const [mode, text, wanted] of cases) assert.equal(expand(text, scope, mode), wanted, text);
});

test("used and unset names are reported, those of words that are not taken too", () => {
  const { used, unset } = analyze("$A ${B:-$C} ${EMPTY+x}", scope, backslash);
  assert.deepEqual(
    [[...used], [...unset]],
    [
      ["A", "EMPTY"],
      ["C", "B"],
    ],
  );
});

test("nesting that is deeper than any person's is an error, not a crash", () => {
  const text = "${a:-".repeat(100_000) + "}".repeat(100_000);
  assert.throws(() => expand(text, scope, backslash), HullError);
});

test("a pattern with many stars takes no exponential time", () => {
  const value = "a".repeat(5000);
  const long = { find: () => value };
  assert.equal(expand(`\${v#${"*a".repeat(40)}b}`, long, backslash), value);
});

test("whatever the text is, expansion gives a text or a HullError", () => {
  const piece = fc.constantFrom(
    "$",
    "{",
    "}",
    "${A",
    ":-",
    "#",
    "%",
    "/",
    "\\",
    "'",
    '"',
    " ",
    "<<",
    "*",
    "?",
    "x",
    "é",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), fc.boolean(), (pieces, keepUnset) => {
      try {
        assert.equal(typeof expand(pieces.join(""), scope, { escape: "\\", keepUnset }), "string");
      } catch (error) {
        assert.ok(error instanceof HullError, String(error));
      }
    }),
    { numRuns: 3000 },
  );
});

test("a single-quoted text is that text, and so is one whose every character is escaped", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const quotable = text.replaceAll("'", "");
      assert.equal(expand(`'${quotable}'`, scope, backslash), quotable);
      const escaped = Array.from(text, (character) => `\\${character}`).join("");
      assert.equal(expand(escaped, scope, backslash), text);
    }),
  );
});
