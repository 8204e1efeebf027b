/** What is said of a Dockerfile before it is built: a language that is not known here, and the build checks. */
import { HullError, messageOf } from "../../platform/errors.ts";
import type { BuildRequest } from "../build.ts";
import type { Dockerfile, Instruction } from "../dockerfile/ast.ts";
import type { Facts, IgnoreFacts } from "../dockerfile/lint/facts.ts";
import { checkOptionsOf, lint, requireClean } from "../dockerfile/lint/lint.ts";
import { type CheckReport, reportOf, warningEvent } from "../dockerfile/lint/report.ts";
import type { LintWarning } from "../dockerfile/lint/rule.ts";
import { parseDockerfile } from "../dockerfile/parse.ts";
import { sourceOf } from "../dockerfile/source-error.ts";
import { requireBuiltInSyntax } from "../dockerfile/syntax.ts";
import { IgnorePatterns } from "../files/ignore.ts";
import type { BuildPlan } from "../graph/plan.ts";
import { planBuild } from "../graph/plan-build.ts";

/** Throws a SourceError. The classic builder takes `# syntax=` for a comment. */
export function readDockerfileOf({ dialect, dockerfile: { name, data }, buildArgs }: BuildRequest): Dockerfile {
  const dockerfile = parseDockerfile(data, name);
  if (dialect === "buildkit") requireBuiltInSyntax(dockerfile, buildArgs);
  return dockerfile;
}

/** Tells the warnings; throws failed-precondition when they are to be errors. The classic builder has none. */
export async function tellWarnings(request: BuildRequest, dockerfile: Dockerfile, plan: BuildPlan): Promise<void> {
  if (request.dialect !== "buildkit") return;
  const facts = await factsOf(request, dockerfile, plan);
  const options = checkOptionsOf(facts);
  const warnings = lint(facts, options);
  for (const warning of warnings) request.listener(warningEvent(warning));
  requireClean(warnings, options);
}

/** What `--call=check` answers: the warnings, and what keeps the Dockerfile from being built at all. */
export async function checkDockerfile(request: BuildRequest): Promise<CheckReport> {
  const { name: file, data } = request.dockerfile;
  const asked = { ...request, everyStage: true };
  try {
    const dockerfile = readDockerfileOf(asked);
    const facts = await factsOf(asked, dockerfile, await planBuild(asked, dockerfile));
    return reportOf({ file, data, warnings: lint(facts), error: undefined });
  } catch (error) {
    if (!isOfDockerfile(error)) throw error;
    const { message, range } = { ...sourceOf(error), message: messageOf(error) };
    return reportOf({
      file,
      data,
      warnings: warningsOfText(asked, error),
      error: { message, ...(range && { range }) },
    });
  }
}

/** Not of the daemon or of a client that has gone. */
const isOfDockerfile = (error: unknown): boolean =>
  error instanceof HullError && ["invalid-argument", "not-found", "failed-precondition"].includes(error.code);

async function factsOf(request: BuildRequest, dockerfile: Dockerfile, plan: BuildPlan): Promise<Facts> {
  const { buildArgs } = request;
  const ignore = dockerfile.stages.some(({ instructions }) => instructions.some(takesContext))
    ? ignoreFacts(await request.ignored())
    : undefined;
  return { dockerfile, buildArgs, ...plan.checked, found: plan.warnings, ...(ignore && { ignore }) };
}

const takesContext = (instruction: Instruction): boolean =>
  (instruction.kind === "copy" || instruction.kind === "add") && instruction.from === "";

function ignoreFacts(patterns: readonly string[]): IgnoreFacts {
  const matcher = new IgnorePatterns(patterns);
  return { patterns, ignores: (path) => matcher.matches(path) };
}

/** What BuildKit looks at while it reads a file; and before it makes anything of the stages. */
const readingRules = new Set(["FromAsCasing", "MaintainerDeprecated", "NoEmptyContinuation", "StageNameCasing"]);
const stageRules = new Set([
  ...readingRules,
  ...["ConsistentInstructionCasing", "DuplicateStageName", "InvalidDefaultArgInFrom", "ReservedStageName"],
]);

/** Of a Dockerfile that cannot be planned: what its text shows, up to the line that cannot be read. */
function warningsOfText(request: BuildRequest, error: unknown): readonly LintWarning[] {
  const { name, data } = request.dockerfile;
  const told = (dockerfile: Dockerfile, rules: ReadonlySet<string>): readonly LintWarning[] =>
    lint({ dockerfile, buildArgs: request.buildArgs, platformArgs: new Map(), found: [] }).filter(({ rule }) =>
      rules.has(rule),
    );
  try {
    return told(parseDockerfile(data, name), stageRules);
  } catch (unread) {
    if (!isOfDockerfile(unread)) throw unread;
  }
  const line = sourceOf(error)?.range.startLine ?? 1;
  const before = data
    .toString("latin1")
    .split("\n")
    .slice(0, line - 1)
    .join("\n");
  try {
    return told(parseDockerfile(Buffer.from(before, "latin1"), name), readingRules);
  } catch (unread) {
    if (!isOfDockerfile(unread)) throw unread;
    return []; // What is wrong is told as the error.
  }
}
