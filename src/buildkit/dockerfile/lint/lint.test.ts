// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the texts are a Dockerfile's
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HullError } from "../../../platform/errors.ts";
import { parseDockerfile } from "../parse.ts";
import type { Facts, Observation } from "./facts.ts";
import { checkOptionsOf, formatShort, lint, requireClean, rules } from "./lint.ts";
import { parseCheckOptions } from "./options.ts";

const platformArgs = new Map([
  ["TARGETPLATFORM", "linux/amd64"],
  ["BUILDPLATFORM", "linux/amd64"],
  ["TARGETARCH", "amd64"],
]);

const factsOf = (text: string, more: Partial<Facts> = {}): Facts => ({
  dockerfile: parseDockerfile(Buffer.from(text), "Dockerfile"),
  buildArgs: {},
  platformArgs,
  found: [],
  ...more,
});

type Warned = readonly [rule: string, line: number, message: string];

const warned = (facts: Facts): readonly Warned[] =>
  lint(facts).map(({ rule, location, message }) => [rule, location.startLine, message]);

type Case = readonly [text: string, warnings: readonly Warned[]];

const cases: Readonly<Record<string, readonly Case[]>> = {
  StageNameCasing: [
    ["FROM a AS Base\n", [["StageNameCasing", 1, "Stage name 'Base' should be lowercase"]]],
    ["FROM a AS base\n", []],
  ],
  FromAsCasing: [
    ["FROM a as b\n", [["FromAsCasing", 1, "'as' and 'FROM' keywords' casing do not match"]]],
    ["from a AS b\n", [["FromAsCasing", 1, "'AS' and 'from' keywords' casing do not match"]]],
    ["from a as b\n", []],
    ["FROM a AS b\nFROM b\n", []],
  ],
  NoEmptyContinuation: [
    ["FROM a\nRUN a \\\n\n  b\n", [["NoEmptyContinuation", 4, "Empty continuation line"]]],
    ["FROM a\nRUN a \\\n# comment\n  b\n", []],
  ],
  ConsistentInstructionCasing: [
    [
      "FROM a\nRUN a\nuser b\nWorkdir /c\n",
      [
        ["ConsistentInstructionCasing", 3, "Command 'user' should match the case of the command majority (uppercase)"],
        [
          "ConsistentInstructionCasing",
          4,
          "Command 'Workdir' should match the case of the command majority (uppercase)",
        ],
      ],
    ],
    [
      "from a\nrun a\nUSER b\n",
      [["ConsistentInstructionCasing", 3, "Command 'USER' should match the case of the command majority (lowercase)"]],
    ],
  ],
  DuplicateStageName: [
    [
      "FROM a AS b\nFROM a AS b\n",
      [["DuplicateStageName", 2, 'Duplicate stage name "b", stage names should be unique']],
    ],
  ],
  ReservedStageName: [
    [
      "FROM a AS context\nFROM a AS scratch\n",
      [
        ["ReservedStageName", 1, 'Stage name should not use the same name as reserved stage "context"'],
        ["ReservedStageName", 2, 'Stage name should not use the same name as reserved stage "scratch"'],
      ],
    ],
  ],
  JSONArgsRecommended: [
    [
      'FROM a\nCMD x\nENTRYPOINT ["y"]\n',
      [
        [
          "JSONArgsRecommended",
          2,
          "JSON arguments recommended for CMD to prevent unintended behavior related to OS signals",
        ],
      ],
    ],
    ['FROM a AS b\nSHELL ["sh"]\nFROM b\nENTRYPOINT x\n', []],
  ],
  MaintainerDeprecated: [
    [
      "FROM a\nMAINTAINER x\n",
      [["MaintainerDeprecated", 2, "Maintainer instruction is deprecated in favor of using label"]],
    ],
  ],
  UndefinedArgInFrom: [
    [
      "ARG VERSION=1\nFROM a:$VERSOIN\nFROM --platform=$BULDPLATFORM b:${VERSION}\n",
      [
        ["InvalidDefaultArgInFrom", 2, "Default value for ARG a:$VERSOIN results in empty or invalid base image name"],
        ["UndefinedArgInFrom", 2, "FROM argument 'VERSOIN' is not declared (did you mean VERSION?)"],
        ["UndefinedArgInFrom", 3, "FROM argument 'BULDPLATFORM' is not declared (did you mean BUILDPLATFORM?)"],
      ],
    ],
  ],
  InvalidDefaultArgInFrom: [
    [
      "ARG V\nFROM a:${V}\n",
      [["InvalidDefaultArgInFrom", 2, "Default value for ARG a:${V} results in empty or invalid base image name"]],
    ],
    ["ARG V\nFROM a:${V:-1}\n", []],
    ["ARG V=1\nFROM a:${V}\n", []],
  ],
  RedundantTargetPlatform: [
    [
      "FROM --platform=$TARGETPLATFORM a\nFROM --platform=${BUILDPLATFORM} a\n",
      [
        [
          "RedundantTargetPlatform",
          1,
          "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
        ],
      ],
    ],
  ],
  FromPlatformFlagConstDisallowed: [
    [
      "FROM --platform=linux/arm64 a\nFROM --platform=linux/arm64 a AS for_arm64\n",
      [["FromPlatformFlagConstDisallowed", 1, 'FROM --platform flag should not use constant value "linux/arm64"']],
    ],
  ],
  WorkdirRelativePath: [
    [
      "FROM a AS b\nWORKDIR x\nWORKDIR y\nFROM b\nWORKDIR z\n",
      [["WorkdirRelativePath", 2, 'Relative workdir "x" can have unexpected results if the base image changes']],
    ],
    ["FROM a\nARG d=/x\nWORKDIR $d\nWORKDIR y\n", []],
    [
      "FROM a\nENV d=x\nWORKDIR $d\n",
      [["WorkdirRelativePath", 3, 'Relative workdir "x" can have unexpected results if the base image changes']],
    ],
    ["FROM a\nWORKDIR $HOME\n", []],
  ],
  MultipleInstructionsDisallowed: [
    [
      'FROM a\nCMD ["a"]\nCMD ["b"]\nHEALTHCHECK NONE\nHEALTHCHECK NONE\nFROM a\nCMD ["c"]\n',
      [
        [
          "MultipleInstructionsDisallowed",
          2,
          "Multiple CMD instructions should not be used in the same stage because only the last one will be used",
        ],
        [
          "MultipleInstructionsDisallowed",
          4,
          "Multiple HEALTHCHECK instructions should not be used in the same stage because only the last one will be used",
        ],
      ],
    ],
    ['FROM a\nCMD ["a"]\n# check=skip=MultipleInstructionsDisallowed\nCMD ["b"]\n', []],
  ],
  LegacyKeyValueFormat: [
    [
      "FROM a\nENV a b\nLABEL c d\nENV e=f\n",
      [
        ["LegacyKeyValueFormat", 2, '"ENV key=value" should be used instead of legacy "ENV key value" format'],
        ["LegacyKeyValueFormat", 3, '"LABEL key=value" should be used instead of legacy "LABEL key value" format'],
      ],
    ],
  ],
  SecretsUsedInArgOrEnv: [
    [
      "ARG TOKEN\nFROM a\nARG GITHUB_TOKEN\nENV password=x monkey=y PUBLIC_KEY=z token_file=w authors=v\n",
      [
        ["SecretsUsedInArgOrEnv", 3, 'Do not use ARG or ENV instructions for sensitive data (ARG "GITHUB_TOKEN")'],
        ["SecretsUsedInArgOrEnv", 4, 'Do not use ARG or ENV instructions for sensitive data (ENV "password")'],
      ],
    ],
    ["FROM a\n# check=skip=SecretsUsedInArgOrEnv // it is none\nARG TOKEN\n# check=skip=all\nENV KEY=a\n", []],
  ],
  ExposeProtoCasing: [
    [
      "FROM a\nARG p=90/UDP\nEXPOSE 80/TcP $p 81/udp\n",
      [
        ["ExposeProtoCasing", 3, "Defined protocol '90/UDP' in EXPOSE instruction should be lowercase"],
        ["ExposeProtoCasing", 3, "Defined protocol '80/TcP' in EXPOSE instruction should be lowercase"],
      ],
    ],
  ],
  ExposeInvalidFormat: [
    [
      "FROM a\nEXPOSE 127.0.0.1:80:80 5000-5005\nEXPOSE 8080:80\n",
      [
        [
          "ExposeInvalidFormat",
          2,
          "EXPOSE instruction should not define an IP address or host-port mapping, found '127.0.0.1:80:80'",
        ],
        [
          "ExposeInvalidFormat",
          3,
          "EXPOSE instruction should not define an IP address or host-port mapping, found '8080:80'",
        ],
      ],
    ],
  ],
  InvalidDefinitionDescription: [
    ["# bar this\nARG foo=1\nFROM a\n", []],
    [
      "# check=experimental=all\n# bar this\nARG foo=1\n# BasE it\nFROM a AS base\n# x y\nARG b c\n# c it\nARG b c\n",
      [
        ["InvalidDefinitionDescription", 3, "Comment for ARG should follow the format: `# foo <description>`"],
        ["InvalidDefinitionDescription", 5, "Comment for FROM should follow the format: `# base <description>`"],
        ["InvalidDefinitionDescription", 7, "Comment for ARG should follow the format: `# <arg_key> <description>`"],
      ],
    ],
  ],
};

for (const [name, list] of Object.entries(cases)) {
  describe(`the check ${name}`, () => {
    for (const [text, wanted] of list)
      test(JSON.stringify(text), () => assert.deepEqual(warned(factsOf(text)), wanted));
  });
}

test("there are Docker's 22 checks, each with its page", () => {
  assert.equal(rules.length, 22);
  assert.equal(new Set(rules.map(({ name }) => name)).size, 22);
  const urlOf = (name: string): string | undefined => rules.find((rule) => rule.name === name)?.url;
  const base = "https://docs.docker.com/go/dockerfile/rule";
  assert.equal(urlOf("JSONArgsRecommended"), `${base}/json-args-recommended/`);
  assert.equal(urlOf("SecretsUsedInArgOrEnv"), `${base}/secrets-used-in-arg-or-env/`);
  assert.equal(urlOf("FromPlatformFlagConstDisallowed"), `${base}/from-platform-flag-const-disallowed/`);
  assert.equal(urlOf("InvalidBaseImagePlatform"), "");
});

test("what the conversion found is told, unless it is skipped at its instruction or for the file", () => {
  const found: readonly Observation[] = [3, 5].map((line) => ({
    rule: "UndefinedVar",
    short: `at ${line}`,
    location: { file: "Dockerfile", startLine: line, endLine: line },
  }));
  const text = "#\nFROM a\nRUN a\n# check=skip=UndefinedVar\nRUN b\n";
  assert.deepEqual(warned(factsOf(text, { found })), [["UndefinedVar", 3, "at 3"]]);
  assert.deepEqual(warned(factsOf(`# check=skip=UndefinedVar,Other${text}`, { found })), []);
});

test("sources that the ignore file leaves out are warned of", () => {
  const text =
    "FROM a\nARG f=secret\nCOPY ./$f/ b /x\nADD secret https://example.com/secret /x\nCOPY --from=a secret .\nCOPY . .\n";
  const ignoring = (patterns: readonly string[]): Partial<Facts> => ({
    ignore: { patterns, ignores: (path) => path === "secret" },
  });
  assert.deepEqual(warned(factsOf(text, ignoring(["secret"]))), [
    ["CopyIgnoredFile", 3, 'Attempting to Copy file "secret" that is excluded by .dockerignore'],
    ["CopyIgnoredFile", 4, 'Attempting to Add file "secret" that is excluded by .dockerignore'],
  ]);
  assert.deepEqual(warned(factsOf(text, ignoring(["secret", "!secret/a"]))), []);
  assert.deepEqual(warned(factsOf("FROM a\nCOPY . /x\n", ignoring(["*"]))), [
    ["CopyIgnoredFile", 2, 'Attempting to Copy file "." that is excluded by .dockerignore'],
  ]);
});

test("a base image's variables count where they are known", () => {
  const text = "FROM a\nWORKDIR $HOME/x\n";
  const imageEnv = (home: string): Partial<Facts> => ({ imageEnv: new Map([[0, [`HOME=${home}`]]]) });
  assert.deepEqual(warned(factsOf(text, imageEnv("/root"))), []);
  assert.deepEqual(
    warned(factsOf(text, imageEnv("root"))).map(([rule]) => rule),
    ["WorkdirRelativePath"],
  );
});

test("only stages that are built are looked at for what their instructions do", () => {
  const text = "FROM a AS x\nENV a b\nFROM a AS y\nENV c d\n";
  assert.deepEqual(
    warned(factsOf(text, { built: new Set([1]) })).map(([, line]) => line),
    [4],
  );
});

test("the build argument BUILDKIT_DOCKERFILE_CHECK stands above the file's directive", () => {
  const text = "# check=skip=all\nFROM a AS B\n";
  assert.deepEqual(warned(factsOf(text)), []);
  assert.equal(warned(factsOf(text, { buildArgs: { BUILDKIT_DOCKERFILE_CHECK: "skip=Other" } })).length, 1);
});

test("with error=true a warning fails the build and names its rules", () => {
  const facts = factsOf("# check=error=true\nFROM a AS B\nMAINTAINER x\n");
  const warnings = lint(facts);
  assert.throws(() => requireClean(warnings, checkOptionsOf(facts)), {
    message: "lint violation found for rules: MaintainerDeprecated, StageNameCasing",
  });
  requireClean([], checkOptionsOf(facts));
  requireClean(warnings, parseCheckOptions("error=false"));
  assert.equal(formatShort(warnings[0]!), "StageNameCasing: Stage name 'B' should be lowercase (line 2)");
});

test("options that make no sense are refused in the directive and ignored in a comment", () => {
  for (const text of ["skip", "what=x", "error=maybe"]) assert.throws(() => parseCheckOptions(text), HullError, text);
  assert.equal(warned(factsOf("#\n# check=what=x\nFROM a AS B\n")).length, 1);
});

test("a long chain of stages is no trouble", () => {
  const stages = Array.from({ length: 4000 }, (_, index) => `FROM s${index} AS s${index + 1}\nENV a${index % 50}=b\n`);
  assert.deepEqual(warned(factsOf(`FROM a AS s0\n${stages.join("")}`)), []);
});
