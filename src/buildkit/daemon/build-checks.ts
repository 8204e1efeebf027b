/** What is said of a Dockerfile before it is built: a language that is not known here, and the build checks. */
import type { BuildRequest } from "../build.ts";
import type { Dockerfile } from "../dockerfile/ast.ts";
import { checkOptionsOf, lint, requireClean } from "../dockerfile/lint/lint.ts";
import { warningEvent } from "../dockerfile/lint/report.ts";
import { parseDockerfile } from "../dockerfile/parse.ts";
import { requireBuiltInSyntax } from "../dockerfile/syntax.ts";
import type { BuildPlan } from "../graph/plan.ts";

/** Throws a SourceError. The classic builder takes `# syntax=` for a comment. */
export function readDockerfileOf({ dialect, dockerfile: { name, data }, buildArgs }: BuildRequest): Dockerfile {
  const dockerfile = parseDockerfile(data, name);
  if (dialect === "buildkit") requireBuiltInSyntax(dockerfile, buildArgs);
  return dockerfile;
}

/** Tells the warnings; throws failed-precondition when they are to be errors. The classic builder has none. */
export function tellWarnings(
  { dialect, buildArgs, listener }: BuildRequest,
  dockerfile: Dockerfile,
  plan: BuildPlan,
): void {
  if (dialect !== "buildkit") return;
  const facts = { dockerfile, buildArgs, ...plan.checked, found: plan.warnings };
  const options = checkOptionsOf(facts);
  const warnings = lint(facts, options);
  for (const warning of warnings) listener(warningEvent(warning));
  requireClean(warnings, options);
}
