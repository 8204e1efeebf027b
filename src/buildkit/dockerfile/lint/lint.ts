/** The build checks of a Dockerfile: https://docs.docker.com/reference/build-checks/. */
import { HullError } from "../../../platform/errors.ts";
import type { Dockerfile } from "../ast.ts";
import { copyRule } from "./copy-rule.ts";
import { type Facts, instructionsOf } from "./facts.ts";
import { fromRules } from "./from-rules.ts";
import { instructionRules } from "./instruction-rules.ts";
import { observedRules } from "./observed-rules.ts";
import { type CheckOptions, isOn, parseCheckOptions, withComments } from "./options.ts";
import type { Finding, LintWarning, Rule } from "./rule.ts";
import { stageRules } from "./stage-rules.ts";

/** All there are, by name. */
export const rules: readonly Rule[] = [
  ...stageRules,
  ...fromRules,
  ...instructionRules,
  copyRule,
  ...observedRules,
].sort((a, b) => (a.name < b.name ? -1 : 1));

/** The file's own options, or those of the build argument BUILDKIT_DOCKERFILE_CHECK, which wins. */
export const checkOptionsOf = ({ dockerfile, buildArgs }: Pick<Facts, "dockerfile" | "buildArgs">): CheckOptions =>
  parseCheckOptions(buildArgs.BUILDKIT_DOCKERFILE_CHECK ?? dockerfile.directives.check);

/** The warnings that the options let through, in the order of the file. */
export function lint(facts: Facts, options: CheckOptions = checkOptionsOf(facts)): readonly LintWarning[] {
  const warnings = rules.flatMap((rule) =>
    rule
      .check(facts)
      .filter((finding) => isOn(withComments(options, commentsOf(facts.dockerfile, finding)), rule))
      .map(({ message, location }) => ({
        rule: rule.name,
        description: rule.description,
        url: rule.url,
        message,
        location,
      })),
  );
  return warnings.sort((a, b) => a.location.startLine - b.location.startLine);
}

/** Of the instruction that stands at the finding's place. */
function commentsOf(dockerfile: Dockerfile, { asked, location: { startLine } }: Finding): readonly string[] {
  const instruction =
    asked ??
    instructionsOf(dockerfile).find(({ location }) => location.startLine <= startLine && startLine <= location.endLine);
  return instruction?.comments ?? [];
}

/** As a vertex's warning has it: "WorkdirRelativePath: Relative workdir ... (line 3)". */
export const formatShort = ({ rule, message, location }: LintWarning): string =>
  `${rule}: ${message}${location.startLine > 0 ? ` (line ${location.startLine})` : ""}`;

/** Throws when the options make warnings errors and there is one. */
export function requireClean(warnings: readonly LintWarning[], options: CheckOptions): void {
  if (!options.error || warnings.length === 0) return;
  const names = [...new Set(warnings.map(({ rule }) => rule))].sort();
  throw new HullError("failed-precondition", `lint violation found for rules: ${names.join(", ")}`);
}
