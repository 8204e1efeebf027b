import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { planText } from "./plan-harness.ts";

/** Text, what is said, the line it is said of. */
const cases = [
  ["FROM base AS build\nRUN x\nFROM base\nCOPY --from=9 a b", "invalid stage index 9", 4],
  [
    "FROM base AS a\nCOPY --from=b /x /\nFROM base AS b\nRUN y\nFROM a",
    'cannot copy from stage "b", it needs to be defined before current stage "a"',
    2,
  ],
  [
    "FROM base AS a\nRUN --mount=from=b,target=/t x\nFROM base AS b\nRUN y\nFROM a",
    'cannot mount from stage "b" to "/t", stage needs to be defined before current command',
    2,
  ],
  [
    "FROM base AS a\nCOPY --from=b /x /\nFROM base AS b\nCOPY --from=a /x /",
    "circular dependency detected on stage: a",
    4,
  ],
  ["FROM base\nCOPY --from=0 /x /", "circular dependency detected on stage: stage-0", 2],
  [
    "FROM base\nARG S=x\nCOPY --from=$S /x /",
    "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround",
    3,
  ],
  ["FROM bace", "bace: repository does not exist", 1],
  [
    "FROM base AS build\nFROM base\nCOPY --from=biuld a b",
    "pull access denied for biuld, repository does not exist (did you mean build?)",
    3,
  ],
  ["FROM $NOPE", "base name ($NOPE) should not be blank", 1],
  [
    "FROM --platform=$BUILDPLATFROM base",
    "empty platform value from expression $BUILDPLATFROM (did you mean BUILDPLATFORM?)",
    1,
  ],
  [
    "FROM base\nCOPY --chmod=99999 a b",
    "invalid chmod parameter: '99999'. it should be octal string and between 0 and 07777",
    2,
  ],
  ["FROM base\nCOPY https://example.com/x /", "source can't be a URL for COPY", 2],
  ["FROM base\nCOPY https://example.com/x.git /", "source can't be a git ref for COPY", 2],
  ["FROM base\nADD --checksum=sha256:0 a /", "checksum requires HTTP(S) or Git sources", 2],
  ["FROM base\nRUN --mount=type=cash,target=/x y", 'unsupported mount type "cash" (did you mean cache?)', 2],
  ["FROM base\nRUN --mount=targat=/x y", "unexpected key 'targat' in 'targat=/x' (did you mean target?)", 2],
  ["FROM base\nRUN --mount=type=secret y", "invalid secret mount. one of source, target required", 2],
  ["FROM base\nRUN --mount=type=tmpfs,target=/x,uid=1 y", 'uid not allowed for "tmpfs" type mounts', 2],
  ["FROM base\nRUN --mount=target=/x,sharing=locked y", "invalid cache sharing set for bind mount", 2],
  ["FROM base\nRUN --mount=type=cache,target=/x,size=5 y", "unexpected key 'size' for mount type 'cache'", 2],
  ["FROM base\nRUN --mount=target=/ y", 'invalid mount target "/"', 2],
  ["FROM base\nRUN --security=insecure y", "security.insecure is not allowed: build with --allow security.insecure", 2],
  ['FROM base\nENV A="${B:?must be set}"', 'failed to process "\\"${B:?must be set}\\"": B: must be set', 2],
] as const;

describe("what a plan refuses", () => {
  for (const [text, message, line] of cases) {
    test(message, async () => {
      await assert.rejects(planText(text), (error: Error & { facts?: { line?: number } }) => {
        assert.equal(error.message.replace("pull access denied for bace, ", "bace: "), message);
        assert.equal(error.facts?.line, line);
        return true;
      });
    });
  }

  test("an unknown target is named, with the nearest stage", async () => {
    await assert.rejects(planText("FROM base AS build", { target: "biuld" }), {
      message: 'target stage "biuld" could not be found (did you mean build?)',
    });
  });

  test("variables that nothing sets are warned of, with the nearest one", async () => {
    const { warnings } = await planText("FROM base\nENV VERSION=1\nCOPY a $VERSON/\nARG X\nENV Y=$X");
    const location = { file: "Dockerfile", startLine: 3, endLine: 3 };
    const short = "Usage of undefined variable '$VERSON' (did you mean $VERSION?)";
    assert.deepEqual(warnings, [{ rule: "UndefinedVar", short, location }]);
  });

  test("what the build checks need is in the plan", async () => {
    const text = "FROM nowhere AS a\nRUN a\nFROM base AS b\nENV X=1\nFROM b";
    const { checked } = await planText(text);
    const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert.deepEqual([...checked.built].sort(), [1, 2]);
    assert.deepEqual(
      [...checked.imageEnv],
      [
        [1, [path]],
        [2, [path, "X=1"]],
      ],
    );
    assert.equal(checked.platformArgs.get("TARGETOS"), "linux");
  });
});
