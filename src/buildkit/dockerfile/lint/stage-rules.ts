/** Checks of names and of letters' case. */
import { quoted } from "../text.ts";
import { type Facts, instructionsOf } from "./facts.ts";
import { type Finding, type Rule, rule } from "./rule.ts";

const isLower = (text: string): boolean => text === text.toLowerCase();
const isUpper = (text: string): boolean => text === text.toUpperCase();

const reserved: ReadonlySet<string> = new Set(["context", "scratch"]);

export const stageRules: readonly Rule[] = [
  rule("StageNameCasing", "Stage names should be lowercase", ({ dockerfile }) =>
    dockerfile.stages
      .filter(({ from }) => !isLower(from.as))
      .map(({ from }) => ({ message: `Stage name '${from.as}' should be lowercase`, location: from.location })),
  ),
  rule("FromAsCasing", "The 'as' keyword should match the case of the 'from' keyword", ({ dockerfile }) =>
    dockerfile.stages
      .map(({ from }) => from)
      // A FROM of mixed case is ConsistentInstructionCasing's.
      .filter(({ keyword, asKeyword }) =>
        isLower(keyword) ? !isLower(asKeyword) : isUpper(keyword) && !isUpper(asKeyword),
      )
      .map(({ keyword, asKeyword, location }) => ({
        message: `'${asKeyword}' and '${keyword}' keywords' casing do not match`,
        location,
      })),
  ),
  rule("ReservedStageName", "Reserved words should not be used as stage names", ({ dockerfile }) =>
    dockerfile.stages
      .filter(({ name }) => reserved.has(name))
      .map(({ name, from }) => ({
        message: `Stage name should not use the same name as reserved stage ${quoted(name)}`,
        location: from.location,
      })),
  ),
  rule("DuplicateStageName", "Stage names should be unique", ({ dockerfile }) =>
    dockerfile.stages
      .filter(({ name, index }) => name !== "" && dockerfile.stages.findIndex((other) => other.name === name) < index)
      .map(({ name, from }) => ({
        message: `Duplicate stage name ${quoted(name)}, stage names should be unique`,
        location: from.location,
      })),
  ),
  rule(
    "ConsistentInstructionCasing",
    "All commands within the Dockerfile should use the same casing (either upper or lower)",
    inconsistentKeywords,
  ),
];

/** Upper case when both are as frequent; ARGs before the first FROM do not count. */
function inconsistentKeywords({ dockerfile }: Facts): readonly Finding[] {
  const counted = instructionsOf({ ...dockerfile, globalArgs: [] });
  const lower = counted.filter(({ keyword }) => isLower(keyword)).length;
  const upper = counted.filter(({ keyword }) => isUpper(keyword)).length;
  const [isRight, wanted] = lower > upper ? [isLower, "lowercase"] : [isUpper, "uppercase"];
  return counted
    .filter(({ keyword }) => !isRight(keyword))
    .map(({ keyword, location }) => ({
      message: `Command '${keyword}' should match the case of the command majority (${wanted})`,
      location,
    }));
}
