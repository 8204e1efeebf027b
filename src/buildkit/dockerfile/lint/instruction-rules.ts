/** Checks of single instructions. */
import type { ArgInstruction, FromInstruction, Instruction, Stage } from "../ast.ts";
import { quoted } from "../text.ts";
import { expansionOf, type Facts, instructionsOf, type Seen, stagesOf, walk } from "./facts.ts";
import { type Finding, type Rule, rule } from "./rule.ts";

/** The findings of each instruction of the stages that are built. */
const each =
  (check: (instruction: Instruction) => readonly string[]): Rule["check"] =>
  (facts) =>
    stagesOf(facts)
      .flatMap(({ instructions }) => instructions)
      .flatMap((instruction) => check(instruction).map((message) => ({ message, location: instruction.location })));

export const instructionRules: readonly Rule[] = [
  rule("NoEmptyContinuation", "Empty continuation lines will become errors in a future release", ({ dockerfile }) =>
    dockerfile.emptyContinuations.map((location) => ({ message: "Empty continuation line", location })),
  ),
  rule(
    "MaintainerDeprecated",
    "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
    ({ dockerfile }) =>
      instructionsOf(dockerfile)
        .filter(({ kind }) => kind === "maintainer")
        .map(({ location }) => ({
          message: "Maintainer instruction is deprecated in favor of using label",
          location,
        })),
  ),
  rule(
    "JSONArgsRecommended",
    "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
    (facts) => Array.from(walk(facts), shellForm).flat(),
  ),
  rule(
    "MultipleInstructionsDisallowed",
    "Multiple instructions of the same type should not be used in the same stage",
    (facts) => stagesOf(facts).flatMap(repeated),
  ),
  rule(
    "LegacyKeyValueFormat",
    "Legacy key/value format with whitespace separator should not be used",
    each((instruction) => {
      if (instruction.kind !== "env" && instruction.kind !== "label") return [];
      const { keyword, pairs } = instruction;
      const message = `"${keyword} key=value" should be used instead of legacy "${keyword} key value" format`;
      return pairs.filter(({ legacy }) => legacy).map(() => message);
    }),
  ),
  rule(
    "SecretsUsedInArgOrEnv",
    "Sensitive data should not be used in the ARG or ENV commands",
    each((instruction) =>
      namesOf(instruction)
        .filter(isSecretName)
        .map((name) => {
          const use = `${instruction.kind.toUpperCase()} ${quoted(name)}`;
          return `Do not use ARG or ENV instructions for sensitive data (${use})`;
        }),
    ),
  ),
  rule(
    "WorkdirRelativePath",
    "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes",
    relativeWorkdirs,
  ),
  rule("ExposeProtoCasing", "Protocol in EXPOSE instruction should be lowercase", (facts) =>
    exposed(facts)
      .filter(({ port }) => port.includes("/") && port !== port.toLowerCase())
      .map(({ port, location }) => ({
        message: `Defined protocol '${port}' in EXPOSE instruction should be lowercase`,
        location,
      })),
  ),
  rule(
    "ExposeInvalidFormat",
    "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future release",
    (facts) =>
      exposed(facts)
        .filter(({ port }) => /[^:]/.test(port.slice(0, Math.max(0, port.lastIndexOf(":")))))
        .map(({ port, location }) => ({
          message: `EXPOSE instruction should not define an IP address or host-port mapping, found '${port}'`,
          location,
        })),
  ),
  {
    ...rule(
      "InvalidDefinitionDescription",
      "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not intended to be a description comment, add an empty line or comment between the instruction and the comment.",
      ({ dockerfile }) => instructionsOf(dockerfile).flatMap(badDescription),
    ),
    experimental: true,
  },
];

function namesOf(instruction: Instruction): readonly string[] {
  if (instruction.kind === "env") return instruction.pairs.map(({ name }) => name);
  return instruction.kind === "arg" ? instruction.args.map(({ name }) => name) : [];
}

/** A word of the name, between underscores, says that it is one; another may say that it is not the secret itself. */
const secretWord = /(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)/i;
const harmlessWord = /(?:_|^)(?:public|file|version)(?:_|$)/i;
const isSecretName = (name: string): boolean => secretWord.test(name) && !harmlessWord.test(name);

/** A SHELL of the stage or of those below it says that the shell is wanted. */
function shellForm({ instruction, before }: Seen): readonly Finding[] {
  const runs = instruction.kind === "cmd" || instruction.kind === "entrypoint";
  if (!runs || before.has("shell") || instruction.command.form === "exec") return [];
  const message = `JSON arguments recommended for ${instruction.keyword} to prevent unintended behavior related to OS signals`;
  return [{ message, location: instruction.location }];
}

/** The one that is overruled is named, the one that overrules it may allow it. */
function repeated({ instructions }: Stage): readonly Finding[] {
  return (["cmd", "entrypoint", "healthcheck"] as const).flatMap((kind) => {
    const same = instructions.filter((instruction) => instruction.kind === kind);
    return same.slice(1).map((asked, index) => ({
      message: `Multiple ${asked.keyword} instructions should not be used in the same stage because only the last one will be used`,
      location: same[index]!.location,
      asked,
    }));
  });
}

/** Only the first WORKDIR of a stage and those below it: once it is right, the others are. */
function relativeWorkdirs(facts: Facts): readonly Finding[] {
  const findings: Finding[] = [];
  for (const seen of walk(facts)) {
    const { instruction, before } = seen;
    if (instruction.kind !== "workdir" || before.has("workdir")) continue;
    const path = expansionOf(facts, instruction.text, seen)?.text ?? "/";
    const message = `Relative workdir ${quoted(path)} can have unexpected results if the base image changes`;
    if (!path.startsWith("/")) findings.push({ message, location: instruction.location });
  }
  return findings;
}

interface Exposed {
  readonly port: string;
  readonly location: Instruction["location"];
}

function exposed(facts: Facts): readonly Exposed[] {
  const ports: Exposed[] = [];
  for (const seen of walk(facts)) {
    const { instruction } = seen;
    if (instruction.kind !== "expose") continue;
    const words = instruction.values.flatMap((value) => expansionOf(facts, value, seen)?.words ?? []);
    ports.push(...words.map((port) => ({ port, location: instruction.location })));
  }
  return ports;
}

function badDescription(instruction: FromInstruction | Instruction): readonly Finding[] {
  const names = definedNames(instruction);
  const comment = instruction.comments.at(-1);
  if (names.length === 0 || comment === undefined || names.includes(comment.split(" ", 1)[0]!)) return [];
  const example = names.length > 1 ? "<arg_key>" : names[0];
  const keyword = instruction.kind.toUpperCase();
  return [
    {
      message: `Comment for ${keyword} should follow the format: \`# ${example} <description>\``,
      location: instruction.location,
    },
  ];
}

function definedNames(instruction: FromInstruction | ArgInstruction | Instruction): readonly string[] {
  if (instruction.kind === "from") return instruction.as === "" ? [] : [instruction.as.toLowerCase()];
  return instruction.kind === "arg" ? instruction.args.map(({ name }) => name) : [];
}
