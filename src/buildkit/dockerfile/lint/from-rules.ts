/** Checks of FROM's image and platform. */
import { parseReference } from "../../../oci/reference.ts";
import type { FromInstruction } from "../ast.ts";
import { analyze, type Expansion } from "../expand.ts";
import { didYouMean } from "../suggest.ts";
import { quoted } from "../text.ts";
import { type Facts, globalValues, known, modeOf, scopeOf } from "./facts.ts";
import { type Finding, type Rule, rule } from "./rule.ts";

export const fromRules: readonly Rule[] = [
  rule("UndefinedArgInFrom", "FROM command must use declared ARGs", undeclared),
  rule(
    "InvalidDefaultArgInFrom",
    "Default value for global ARG results in an empty or invalid base image name",
    badDefaults,
  ),
  rule(
    "RedundantTargetPlatform",
    "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
    (facts) =>
      platforms(facts)
        .filter(({ expansion: { used, unset, text } }) => {
          const onlyTarget = used.size === 1 && unset.size === 0 && used.has("TARGETPLATFORM");
          return onlyTarget && text === facts.platformArgs.get("TARGETPLATFORM");
        })
        .map(({ from: { platform, location } }) => ({
          message: `Setting platform to predefined ${platform} in FROM is redundant as this is the default behavior`,
          location,
        })),
  ),
  rule("FromPlatformFlagConstDisallowed", "FROM --platform flag should not use a constant value", (facts) =>
    platforms(facts)
      .filter(({ from, expansion }) => isConstantPlatform(from, expansion))
      .map(({ from, expansion }) => ({
        message: `FROM --platform flag should not use constant value ${quoted(expansion.text)}`,
        location: from.location,
      })),
  ),
];

/** Of texts that cannot be expanded there are none: the conversion fails there too and says why. */
function expansions(facts: Facts, texts: readonly string[], buildArgs?: Facts["buildArgs"]): readonly Expansion[] {
  const expanded = known(() => {
    const scope = scopeOf(globalValues(facts, buildArgs));
    return texts.map((text) => analyze(text, scope, modeOf(facts)));
  });
  return expanded ?? [];
}

interface PlatformUse {
  readonly from: FromInstruction;
  readonly expansion: Expansion;
}

function platforms(facts: Facts): readonly PlatformUse[] {
  const froms = facts.dockerfile.stages.map(({ from }) => from).filter(({ platform }) => platform !== "");
  const expanded = expansions(
    facts,
    froms.map(({ platform }) => platform),
  );
  return expanded.map((expansion, index) => ({ from: froms[index]!, expansion }));
}

/** A stage that is named after the platform ("build-linux") says that it is meant. */
function isConstantPlatform(from: FromInstruction, { used, unset, text }: Expansion): boolean {
  if (used.size > 0 || unset.size > 0) return false;
  const parts = text.split("/");
  if (!parts.every((part) => /^[A-Za-z0-9_.-]+$/.test(part)) || parts.length > 3) return false;
  return !parts.slice(0, 2).some((part) => from.as.toLowerCase().includes(part.toLowerCase()));
}

function undeclared(facts: Facts): readonly Finding[] {
  const { globalArgs, stages } = facts.dockerfile;
  const declared = globalArgs.flatMap(({ args }) => args.map(({ name }) => name));
  const names = new Set([...declared, ...facts.platformArgs.keys()]);
  const uses = stages.flatMap(({ from }) =>
    [from.image, from.platform].filter((text) => text.includes("$")).map((text) => ({ text, location: from.location })),
  );
  const expanded = expansions(
    facts,
    uses.map(({ text }) => text),
  );
  return expanded.flatMap(({ unset }, index) =>
    [...unset]
      .filter((name) => !names.has(name))
      .map((name) => ({
        message: `FROM argument '${name}' is not declared${didYouMean(name, names)}`,
        location: uses[index]!.location,
      })),
  );
}

function badDefaults(facts: Facts): readonly Finding[] {
  const froms = facts.dockerfile.stages.map(({ from }) => from);
  const expanded = expansions(
    facts,
    froms.map(({ image }) => image),
    {},
  );
  return froms
    .filter((_, index) => expanded[index] !== undefined && !isReference(expanded[index].text))
    .map(({ image, location }) => ({
      message: `Default value for ARG ${image} results in empty or invalid base image name`,
      location,
    }));
}

const isReference = (text: string): boolean => known(() => parseReference(text)) !== undefined;
