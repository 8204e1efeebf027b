/**
 * Which variables an instruction sees, what a command gets of them and what its history says. The builders differ: for the classic one an ENV
 * always wins over an ARG, for BuildKit the last of them does.
 */
import type { ArgInstruction } from "../dockerfile/ast.ts";
import type { ExpandMode, Scope } from "../dockerfile/expand.ts";
import { byBytes, variableName, variableValue } from "./run-config.ts";
import type { Argument, Globals, StageState, StageWork } from "./stage-state.ts";

/** Usable without ARG; in no history and no key. */
export const proxyNames: ReadonlySet<string> = new Set(
  ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"].flatMap((name) => [name, name.toLowerCase()]),
);

/** What FROM may use. */
export const globalScope = (globals: Globals): Scope => ({
  find: (name) => globals.declared.get(name) ?? globals.platform.get(name),
});

export interface GlobalArguments {
  readonly instructions: readonly ArgInstruction[];
  readonly buildArgs: Readonly<Record<string, string>>;
  readonly platform: ReadonlyMap<string, string>;
  readonly mode: ExpandMode;
}

/** The values of the ARGs before the first FROM; `expandAt` places an error at its instruction. */
export function declareGlobals(
  given: GlobalArguments,
  expandAt: (instruction: ArgInstruction, text: string, scope: Scope) => string,
): Globals {
  const declared = new Map<string, string>();
  const scope = globalScope({ declared, platform: given.platform });
  for (const instruction of given.instructions) {
    for (const { name, value } of instruction.args) {
      const chosen =
        ownValue(given.buildArgs, name) ?? (value === undefined ? undefined : expandAt(instruction, value, scope));
      if (chosen !== undefined) declared.set(name, chosen);
    }
  }
  return { declared, platform: given.platform };
}

/** What an instruction of a stage may use. */
export function stageScope(state: StageState, work: StageWork): Scope {
  const values = new Map(visible(state, work).map((entry) => [variableName(entry), variableValue(entry)]));
  return { find: (name) => values.get(name) };
}

/** Names that are set, for suggestions. */
export const visibleNames = (state: StageState, work: StageWork): readonly string[] =>
  visible(state, work).map(variableName);

function visible(state: StageState, work: StageWork): readonly string[] {
  if (work.request.dialect === "buildkit") return state.environment;
  return [...classicArguments(state, work).map(formatArgument), ...state.config.env];
}

/** A command's environment. */
export interface CommandVariables {
  readonly env: readonly string[];
  /** Given, but no part of any key. */
  readonly uncached: readonly string[];
  /** ["|2", "A=1", "B=2"] or nothing. */
  readonly history: readonly string[];
}

export function commandVariables(state: StageState, work: StageWork): CommandVariables {
  return work.request.dialect === "classic" ? classicVariables(state, work) : buildkitVariables(state, work);
}

function classicVariables(state: StageState, work: StageWork): CommandVariables {
  const all = classicArguments(state, work);
  const declared = all.filter(({ name }) => !proxyNames.has(name) || state.args.some((arg) => arg.name === name));
  const shown = declared.map(formatArgument).sort(byBytes);
  return {
    env: [...state.config.env, ...shown],
    uncached: all.filter((arg) => !declared.includes(arg)).map(formatArgument),
    history: all.length > 0 ? [`|${shown.length}`, ...shown] : [],
  };
}

/** With a value and without an ENV of that name; proxies need no ARG. */
function classicArguments(state: StageState, work: StageWork): readonly Argument[] {
  const { buildArgs } = work.request;
  const set = new Set(state.config.env.map(variableName));
  const names = new Set([...state.args.map(({ name }) => name), ...proxyNames]);
  return [...names]
    .filter((name) => !set.has(name))
    .map((name) => {
      const own = state.args.find((arg) => arg.name === name)?.value;
      return { name, value: ownValue(buildArgs, name) ?? own ?? work.globals.declared.get(name) };
    })
    .filter(({ value }) => value !== undefined);
}

function buildkitVariables(state: StageState, work: StageWork): CommandVariables {
  const values = new Map(state.environment.map((entry) => [variableName(entry), variableValue(entry)]));
  const shown = state.args.map(({ name, value }) => `${name}=${values.get(name) ?? value ?? ""}`);
  const proxies = Object.entries(work.request.buildArgs).filter(([name]) => proxyNames.has(name.toUpperCase()));
  return {
    env: state.environment,
    uncached: proxies
      .flatMap(([name, value]) => [`${name.toUpperCase()}=${value}`, `${name.toLowerCase()}=${value}`])
      .filter((entry, index, all) => all.indexOf(entry) === index && !values.has(variableName(entry)))
      .sort(byBytes),
    history: shown.length > 0 ? [`|${shown.length}`, ...shown] : [],
  };
}

/** BuildKit's environment: what is set again moves to the end. */
export const lastSet = (environment: readonly string[], entry: string): readonly string[] => [
  ...environment.filter((other) => variableName(other) !== variableName(entry)),
  entry,
];

export const formatArgument = ({ name, value }: Argument): string => `${name}=${value ?? ""}`;

export const ownValue = (record: Readonly<Record<string, string>>, name: string): string | undefined =>
  Object.hasOwn(record, name) ? record[name] : undefined;
