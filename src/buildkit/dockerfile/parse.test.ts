// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the texts are a Dockerfile's
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Dockerfile, Instruction } from "./ast.ts";
import { parseDockerfile, parseInstructions } from "./parse.ts";
import { SourceError } from "./source-error.ts";

const parse = (text: string): Dockerfile => parseDockerfile(Buffer.from(text), "Dockerfile");
const instructionsOf = (text: string): readonly Instruction[] => parse(`FROM a\n${text}`).stages[0]!.instructions;
const only = (text: string): Instruction => {
  const instructions = instructionsOf(text);
  assert.equal(instructions.length, 1, text);
  return instructions[0]!;
};

/** The fields of an instruction that a case is about. */
type Golden = readonly [text: string, wanted: Readonly<Record<string, unknown>>];

const shell = (text: string) => ({ form: "shell", text });
const exec = (...argv: string[]) => ({ form: "exec", argv });

const golden: Readonly<Record<string, readonly Golden[]>> = {
  "RUN, CMD, ENTRYPOINT": [
    ["RUN make  all", { kind: "run", command: shell("make  all"), network: "", security: "", mounts: [] }],
    ['RUN ["a", "b c"]', { command: exec("a", "b c") }],
    ['RUN [ "a" ] && b', { command: shell('[ "a" ] && b') }],
    ["RUN ['a']", { command: shell("['a']") }],
    ["RUN", { command: shell("") }],
    ["run x", { keyword: "run", command: shell("x") }],
    ["CMD []", { kind: "cmd", command: exec() }],
    ['ENTRYPOINT ["\\u0061"]', { kind: "entrypoint", command: exec("a") }],
    ["CMD echo $HOME", { command: shell("echo $HOME") }],
    ["RUN -- --not-a-flag", { command: shell("--not-a-flag") }],
    ["RUN --network=none --security=insecure x", { network: "none", security: "insecure" }],
    [
      'RUN --mount=type=cache,TARGET=/x,ro "--mount=type=secret,id=a b" x',
      {
        command: shell('"--mount=type=secret,id=a b" x'),
        mounts: [
          {
            text: "type=cache,TARGET=/x,ro",
            fields: [
              ["type", "cache"],
              ["target", "/x"],
              ["ro", "true"],
            ],
          },
        ],
      },
    ],
    [
      `RUN --mount='type=bind,"source=a,b"' --device=vendor.com/gpu=all,required x`,
      {
        mounts: [
          {
            text: 'type=bind,"source=a,b"',
            fields: [
              ["type", "bind"],
              ["source", "a,b"],
            ],
          },
        ],
        devices: ["vendor.com/gpu=all,required"],
      },
    ],
  ],
  "COPY and ADD": [
    ["COPY a b /c/", { kind: "copy", sources: ["a", "b"], destination: "/c/", link: false, from: "" }],
    ['COPY ["a b", "/c d"]', { sources: ["a b"], destination: "/c d" }],
    [
      "COPY --from=build --chown=1:2 --chmod=u=rwX --link --parents --exclude=*.md --exclude=b a /",
      {
        from: "build",
        chown: "1:2",
        chmod: "u=rwX",
        link: true,
        parents: true,
        excludes: ["*.md", "b"],
        keepGitDirectory: undefined,
      },
    ],
    ["COPY --link=false a b", { link: false }],
    ["COPY --link=TRUE a b", { link: true }],
    ['COPY --exclude="a b" a b', { excludes: ["a b"] }],
    [
      "ADD --checksum=sha256:1 --keep-git-dir=true --unpack=false a b",
      { kind: "add", checksum: "sha256:1", keepGitDirectory: true, unpack: false },
    ],
  ],
  "names and values": [
    ["ENV a b  c", { kind: "env", pairs: [{ name: "a", value: "b  c", legacy: true }] }],
    [
      "ENV a=b 'c d'=\"e f\" g=h\\ i",
      {
        pairs: [
          { name: "a", value: "b", legacy: false },
          { name: "'c d'", value: '"e f"', legacy: false },
          { name: "g", value: "h\\ i", legacy: false },
        ],
      },
    ],
    ["ENV a=", { pairs: [{ name: "a", value: "", legacy: false }] }],
    ["LABEL a.b=c", { kind: "label", pairs: [{ name: "a.b", value: "c", legacy: false }] }],
    [
      'ARG a b= c="d e"',
      {
        kind: "arg",
        args: [
          { name: "a", value: undefined },
          { name: "b", value: "" },
          { name: "c", value: '"d e"' },
        ],
      },
    ],
  ],
  "the other instructions": [
    ["WORKDIR /a b", { kind: "workdir", text: "/a b" }],
    ["USER a:b", { kind: "user", text: "a:b" }],
    ["STOPSIGNAL SIGINT", { kind: "stopsignal", text: "SIGINT" }],
    ["MAINTAINER A <a@b>", { kind: "maintainer", text: "A <a@b>" }],
    ["EXPOSE 90 443/tcp 80-81", { kind: "expose", values: ["443/tcp", "80-81", "90"] }],
    ["VOLUME /a  /b", { kind: "volume", values: ["/a", "/b"] }],
    ['VOLUME ["/a b"]', { values: ["/a b"] }],
    ['SHELL ["sh", "-ec"]', { kind: "shell", values: ["sh", "-ec"] }],
    ["HEALTHCHECK NONE", { kind: "healthcheck", command: "none", retries: undefined }],
    [
      "HEALTHCHECK --interval=1m30s --timeout=500ms --start-period=0s --start-interval=1.5s --retries=3 CMD x y",
      {
        command: shell("x y"),
        intervalNs: 90e9,
        timeoutNs: 5e8,
        startPeriodNs: 0,
        startIntervalNs: 1.5e9,
        retries: 3,
      },
    ],
    ['HEALTHCHECK cmd ["x"]', { command: exec("x"), intervalNs: undefined }],
    ["onbuild RUN a", { kind: "onbuild", expression: "RUN a" }],
    ["ONBUILD COPY <<-E /x\n\tbody\n\tE", { expression: "COPY <<-E /x\n\tbody\nE" }],
  ],
};

for (const [name, cases] of Object.entries(golden)) {
  describe(name, () => {
    for (const [text, wanted] of cases) {
      test(text, () => {
        const found = only(text) as unknown as Record<string, unknown>;
        assert.deepEqual(Object.fromEntries(Object.keys(wanted).map((key) => [key, found[key]])), wanted);
      });
    }
  });
}

test("stages have lower-case names, keep duplicates and take what follows them", () => {
  const { stages, globalArgs } = parse(
    "ARG V=1\nFROM --platform=$BUILDPLATFORM a:$V aS Build.One\nRUN x\nFROM build.one AS two\nFROM scratch AS TWO\nARG V\n",
  );
  assert.deepEqual(
    stages.map(({ index, name, from, instructions }) => [index, name, from.image, from.platform, instructions.length]),
    [
      [0, "build.one", "a:$V", "$BUILDPLATFORM", 1],
      [1, "two", "build.one", "", 0],
      [2, "two", "scratch", "", 1],
    ],
  );
  assert.deepEqual([stages[0]!.from.as, stages[0]!.from.asKeyword], ["Build.One", "aS"]);
  assert.deepEqual(globalArgs[0]!.args, [{ name: "V", value: "1" }]);
});

test("directives stand before everything else and only once", () => {
  const { directives } = parse(
    "#!/usr/bin/env docker\n# Syntax = docker/dockerfile:1 labs\n#escape=`\n# check=skip=A;error=true\nFROM a\n",
  );
  assert.deepEqual(directives, {
    syntax: "docker/dockerfile:1",
    escape: "`",
    check: "skip=A;error=true",
    locations: {
      syntax: { file: "Dockerfile", startLine: 2, endLine: 2 },
      escape: { file: "Dockerfile", startLine: 3, endLine: 3 },
      check: { file: "Dockerfile", startLine: 4, endLine: 4 },
    },
  });
  for (const text of [
    "# hello\n# escape=`\nFROM a\n",
    "\n# escape=`\nFROM a\n",
    "FROM a\n# escape=`\n",
    "# other=1\n#escape=`\nFROM a",
  ]) {
    assert.equal(parse(text).directives.escape, "\\", text);
  }
});

test("a byte-order mark and returns before newlines are no part of the text", () => {
  const { stages, directives } = parse("\ufeff# escape=`\r\nFROM a\r\nRUN x `\r\n  y\r\n");
  assert.equal(directives.escape, "`");
  const [run] = stages[0]!.instructions;
  assert.deepEqual(run?.kind === "run" && run.command, shell("x   y"));
});

test("continued lines are joined; comments and empty lines between them are left out and noted", () => {
  const text = "FROM a\nRUN a \\\n  # comment \\\n\n   b\\ \t\n# c\n c\nRUN d \\\\\nRUN e \\";
  const { stages, emptyContinuations } = parse(text);
  const runs = stages[0]!.instructions.map((run) => [run.original, run.location.startLine, run.location.endLine]);
  assert.deepEqual(runs, [
    ["RUN a    b c", 2, 7],
    ["RUN d \\\\", 8, 8],
    ["RUN e", 9, 9],
  ]);
  assert.deepEqual(emptyContinuations, [{ file: "Dockerfile", startLine: 7, endLine: 7 }]);
});

test("comments directly above belong to the instruction; an empty one parts them from it", () => {
  const { stages } = parse("# syntax=x\n# one\n#\n#two\n# check=skip=all\nFROM a\nRUN x\n");
  assert.deepEqual(stages[0]!.from.comments, ["two", "check=skip=all"]);
  assert.deepEqual(stages[0]!.instructions[0]!.comments, []);
});

type HereCase = readonly [text: string, documents: readonly (readonly [name: string, data: string, expand: boolean])[]];

const hereDocuments: readonly HereCase[] = [
  ["RUN <<EOF\na $b\n# no comment\n\nEOF\n", [["EOF", "a $b\n# no comment\n\n", true]]],
  ["RUN <<-EOF\n\t\ta\n\t b\n\tEOF\n", [["EOF", "a\n b\n", true]]],
  ["RUN <<'E O'\na\nE O\n", [["E O", "a\n", false]]],
  ['RUN <<E"O"F\na\nEOF', [["EOF", "a\n", false]]],
  ["RUN <<  EOF cat\nEOF\n", [["EOF", "", true]]],
  ["RUN python3 <<EOF > /x\nprint()\nEOF\n", [["EOF", "print()\n", true]]],
  [
    "RUN 3<<A cat <<B\n1\nA\n2\nB\n",
    [
      ["A", "1\n", true],
      ["B", "2\n", true],
    ],
  ],
  [
    "COPY <<a.txt <<'b.txt' c /d/\nx\na.txt\n$y\nb.txt\n",
    [
      ["a.txt", "x\n", true],
      ["b.txt", "$y\n", false],
    ],
  ],
  ["ADD <<x /d\n1\nx\n", [["x", "1\n", true]]],
  ["RUN echo '<<EOF'", []],
  ['RUN ["<<EOF"]', []],
  ["RUN cat <<< EOF", []],
  ["RUN <<EOF\r\na\r\nEOF\r\n", [["EOF", "a\r\n", true]]],
];

describe("here-documents", () => {
  for (const [text, wanted] of hereDocuments) {
    test(JSON.stringify(text), () => {
      const found = only(text);
      assert.ok(found.kind === "run" || found.kind === "copy" || found.kind === "add");
      assert.deepEqual(
        found.hereDocuments.map(({ name, data, expand }) => [name, data, expand]),
        wanted,
      );
    });
  }
});

test("a here-document's lines belong to its instruction, its descriptor and its other sources are kept", () => {
  const [copy, run] = instructionsOf("COPY <<x y /d/\n1\nx\nRUN 7<<E cat <&7\nE\n");
  assert.deepEqual(copy?.location, { file: "Dockerfile", startLine: 2, endLine: 4 });
  assert.deepEqual(copy?.kind === "copy" && [copy.sources, copy.destination], [["y"], "/d/"]);
  assert.equal(run?.kind === "run" && run.hereDocuments[0]!.descriptor, 7);
});

test("a trigger is parsed as the instruction that it is, and what cannot be one is refused", () => {
  const [copy] = parseInstructions("COPY <<E /x\nbody\nE", "trigger");
  assert.equal(copy?.kind === "copy" && copy.hereDocuments[0]!.data, "body\n");
  for (const text of ["FROM a", "ONBUILD RUN a", "MAINTAINER a", "NOTHING a", ""]) {
    assert.throws(() => parseInstructions(text, "trigger"), SourceError, text);
  }
});

test("whatever the bytes are, parsing gives a tree or a SourceError with a line of the file", () => {
  const pieces = fc.constantFrom(
    ...'FROM a\n|RUN x|COPY |ADD |ENV a|=b|HEALTHCHECK |ONBUILD |SHELL |\n|\n|\\\n|# escape=`\n|#|<<E|\nE\n|[|]|"|\'|--from=|--link|--mount=a,"| |\t|\\|`|$x|AS|é|\ufeff|\r'.split(
      "|",
    ),
  );
  const texts = fc.array(pieces, { maxLength: 14 }).map((list) => Buffer.from(list.join("")));
  const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array));
  fc.assert(
    fc.property(fc.oneof(texts, bytes), (data) => {
      try {
        assert.ok(parseDockerfile(data, "Dockerfile").stages.length > 0);
      } catch (error) {
        assert.ok(error instanceof SourceError, String(error));
        assert.ok(error.range.startLine >= 1 && error.column >= 1);
      }
    }),
    { numRuns: 4000 },
  );
});
