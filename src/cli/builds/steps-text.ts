/** Steps of a build, hit or miss, and why; and what differs between two builds. */
import type { BuildStep, StepDifference } from "../../buildkit/explain/build-steps.ts";

const indented = (reasons: readonly string[]): string => reasons.map((reason) => `      ${reason}\n`).join("");

/** In the Dockerfile's order: stages as their first steps were found, steps by their numbers. */
function inOrder(steps: readonly BuildStep[]): readonly BuildStep[] {
  const placeOf = ({ name }: BuildStep): readonly [string, number] => {
    const [, stage = "", number = "0"] = /^\[(.*?)\s*(\d+)\/\d+\]/.exec(name) ?? [];
    return [stage, Number(number)];
  };
  const stages = [...new Set(steps.map((step) => placeOf(step)[0]))];
  return [...steps].sort((a, b) => {
    const [[stageA, numberA], [stageB, numberB]] = [placeOf(a), placeOf(b)];
    return stages.indexOf(stageA) - stages.indexOf(stageB) || numberA - numberB;
  });
}

export function explanationText(steps: readonly BuildStep[]): string {
  if (steps.length === 0) return "No step was looked for in the cache.\n";
  const hits = steps.filter(({ cached }) => cached).length;
  const lines = inOrder(steps).map(
    ({ name, cached, reasons }) => `${cached ? "hit " : "miss"}  ${name}\n${indented(reasons)}`,
  );
  return `Cache: ${hits} of ${steps.length} steps were there\n${lines.join("")}`;
}

const marks = { same: "same   ", changed: "changed", first: "only in the first ", second: "only in the second" };

export function differencesText(differences: readonly StepDifference[]): string {
  if (differences.every(({ kind }) => kind === "same")) return "No step differs.\n";
  return differences
    .map((one) => {
      if (one.kind === "only") return `${marks[one.side]}  ${one.name}\n`;
      return `${marks[one.kind]}  ${one.name}\n${one.kind === "changed" ? indented(one.reasons) : ""}`;
    })
    .join("");
}
