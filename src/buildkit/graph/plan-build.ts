/**
 * From a parsed Dockerfile and what was asked for to the graph that a solver evaluates and the images that are made of its results. Images are
 * looked up, nothing else is done.
 */

import { formatPlatform, hostPlatform, type Platform, parsePlatform } from "../../oci/platform.ts";
import { HullError } from "../../platform/errors.ts";
import type { BuildRequest } from "../build.ts";
import type { Dockerfile } from "../dockerfile/ast.ts";
import { expand } from "../dockerfile/expand.ts";
import { ContextUse } from "./context-use.ts";
import { Origins } from "./origins.ts";
import { type Outline, outlineOf } from "./outline.ts";
import type { BuildPlan, PlanWarning } from "./plan.ts";
import { type PlannedPlatform, planPlatform } from "./plan-platform.ts";
import type { Globals } from "./stage-state.ts";
import { located } from "./stages.ts";
import { declareGlobals, proxyNames } from "./variables.ts";

/**
 * Throws a SourceError (invalid-argument, not-found, ...) that names the instruction. Abort of the request's signal stops the look-ups of
 * images.
 */
export async function planBuild(request: BuildRequest, dockerfile: Dockerfile): Promise<BuildPlan> {
  return (await plan(request, dockerfile)).plan;
}

/** What the target takes from its client. Throws as `planBuild`. */
export async function planOutline(request: BuildRequest, dockerfile: Dockerfile): Promise<Outline> {
  const { planned } = await plan(request, dockerfile);
  return outlineOf({ request, dockerfile, ...planned[0]!.outlined });
}

interface Planned {
  readonly plan: BuildPlan;
  readonly planned: readonly PlannedPlatform[];
}

async function plan(request: BuildRequest, dockerfile: Dockerfile): Promise<Planned> {
  const host = formatPlatform(hostPlatform());
  const contexts = new ContextUse(host);
  const origins = new Origins(request, contexts);
  const warnings = new Map<string, PlanWarning>();
  const warn = (warning: PlanWarning): void => {
    warnings.set(`${warning.location?.startLine} ${warning.rule} ${warning.short}`, warning);
  };
  const given = request.platforms.map((platform) => formatPlatform(parsePlatform(platform)));
  const wanted = given.length > 0 ? given : [host];
  const planned = await Promise.all(
    wanted.map((platform) => {
      const globals = globalsFor(parsePlatform(platform), request, dockerfile);
      return planPlatform({
        request,
        dockerfile,
        globals,
        platform,
        platformGiven: given.length > 0,
        showPlatform: given.length > 1,
        origins,
        contexts,
        epochNs: epochOf(globals, request),
        warn,
      });
    }),
  );
  const made: BuildPlan = {
    platforms: planned.map(
      ({ argumentNames: _names, checked: _checked, outlined: _outlined, ...platform }) => platform,
    ),
    warnings: [...warnings.values()],
    checked: planned[0]!.checked,
    usedContexts: contexts.finish(),
    unusedBuildArgs: unusedBuildArgs(request, planned),
  };
  return { plan: made, planned };
}

function globalsFor(target: Platform, request: BuildRequest, dockerfile: Dockerfile): Globals {
  const mode = { escape: dockerfile.directives.escape };
  const platform = platformArguments(target, request, dockerfile);
  const given = { instructions: dockerfile.globalArgs, buildArgs: request.buildArgs, platform, mode };
  return declareGlobals(given, (instruction, text, scope) => {
    try {
      return expand(text, scope, mode);
    } catch (error) {
      throw located(error, instruction.location, dockerfile);
    }
  });
}

function platformArguments(
  target: Platform,
  request: BuildRequest,
  dockerfile: Dockerfile,
): ReadonlyMap<string, string> {
  const build = hostPlatform();
  const stage = request.target || dockerfile.stages.at(-1)!.name || "default";
  const values: Readonly<Record<string, string>> = {
    BUILDPLATFORM: formatPlatform(build),
    BUILDOS: build.os,
    BUILDOSVERSION: "",
    BUILDARCH: build.architecture,
    BUILDVARIANT: build.variant ?? "",
    TARGETPLATFORM: formatPlatform(target),
    TARGETOS: target.os,
    TARGETOSVERSION: "",
    TARGETARCH: target.architecture,
    TARGETVARIANT: target.variant ?? "",
    TARGETSTAGE: stage,
  };
  return new Map(Object.entries(values).map(([name, value]) => [name, request.buildArgs[name] ?? value]));
}

/** SOURCE_DATE_EPOCH, as a build argument or as an ARG before the first FROM. */
function epochOf(globals: Globals, { buildArgs }: BuildRequest): bigint | undefined {
  const text = buildArgs.SOURCE_DATE_EPOCH ?? globals.declared.get("SOURCE_DATE_EPOCH") ?? "";
  if (text === "") return undefined;
  if (!/^-?\d{1,18}$/.test(text)) {
    throw new HullError("invalid-argument", `invalid SOURCE_DATE_EPOCH "${text}": want seconds since 1970`);
  }
  return BigInt(text) * 1_000_000_000n;
}

function unusedBuildArgs({ buildArgs }: BuildRequest, planned: readonly PlannedPlatform[]): readonly string[] {
  return Object.keys(buildArgs)
    .filter((name) => !proxyNames.has(name) && !planned.some((platform) => platform.argumentNames.has(name)))
    .sort();
}

/** As the classic builder says it; "" when all are used. */
export const unusedBuildArgsLine = ({ unusedBuildArgs: names }: BuildPlan): string =>
  names.length === 0 ? "" : `[Warning] One or more build-args [${names.join(" ")}] were not consumed`;
