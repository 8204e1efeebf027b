/** The Dockerfile instructions that `docker commit -c` takes. Pure. */
import { HullError } from "../../../platform/errors.ts";

type Config = Record<string, unknown>;
type Instruction = (config: Config, rest: string) => Config;

/** Throws invalid-argument in Docker's words. */
export function applyChanges(config: Config, changes: readonly string[]): Config {
  return changes
    .flatMap((change) => change.split("\n"))
    .reduce((changed, line) => applyOne(changed, line.trim()), config);
}

function applyOne(config: Config, line: string): Config {
  if (line === "" || line.startsWith("#")) return config;
  const [word = "", rest = ""] = [/^\S+/.exec(line)?.[0], line.replace(/^\S+\s*/, "")];
  const instruction = instructions[word.toUpperCase()];
  if (!instruction) throw new HullError("invalid-argument", `${word.toUpperCase()} is not a valid change command`);
  if (rest === "") throw new HullError("invalid-argument", `${word.toUpperCase()} requires at least one argument`);
  return instruction(config, rest);
}

/** A JSON list, or a text for a shell. */
function commandOf(rest: string): readonly string[] {
  try {
    const list: unknown = JSON.parse(rest);
    if (Array.isArray(list) && list.every((item) => typeof item === "string")) return list;
  } catch {
    // Not JSON: the shell's.
  }
  return ["/bin/sh", "-c", rest];
}

const keys = (rest: string): Record<string, object> => {
  const words = rest.startsWith("[") ? commandOf(rest) : rest.split(/\s+/);
  return Object.fromEntries(words.map((word) => [word, {}]));
};

/** `a=b c="d e"`, or `a b c` as one pair. */
function pairs(rest: string): [string, string][] {
  if (!/^[^\s=]+=/.test(rest)) {
    const [, name = rest, value = ""] = /^(\S+)\s+(.*)$/.exec(rest) ?? [];
    return [[name, value]];
  }
  const found = [...rest.matchAll(/([^\s=]+)=("(?:[^"\\]|\\.)*"|'[^']*'|(?:[^\s\\]|\\.)*)/g)];
  return found.map(([, name = "", value = ""]) => [name, unquoted(value)]);
}

const unquoted = (text: string): string => text.replace(/^(["'])(.*)\1$/s, "$2").replace(/\\(.)/g, "$1");

const withPorts = (rest: string): Record<string, object> =>
  Object.fromEntries(Object.keys(keys(rest)).map((port) => [port.includes("/") ? port : `${port}/tcp`, {}]));

const merged = (config: Config, field: string, entries: object): Config => ({
  ...config,
  [field]: { ...(config[field] as object | null), ...entries },
});

function withVariables(config: Config, rest: string): Config {
  const variables = new Map(
    ((config.Env as readonly string[] | null) ?? []).map((variable) => [variable.split("=", 1)[0]!, variable]),
  );
  for (const [name, value] of pairs(rest)) variables.set(name, `${name}=${value}`);
  return { ...config, Env: [...variables.values()] };
}

const instructions: Readonly<Record<string, Instruction>> = {
  CMD: (config, rest) => ({ ...config, Cmd: commandOf(rest) }),
  ENTRYPOINT: (config, rest) => ({ ...config, Entrypoint: commandOf(rest) }),
  ENV: withVariables,
  EXPOSE: (config, rest) => merged(config, "ExposedPorts", withPorts(rest)),
  LABEL: (config, rest) => merged(config, "Labels", Object.fromEntries(pairs(rest))),
  ONBUILD: (config, rest) => ({ ...config, OnBuild: [...((config.OnBuild as readonly string[] | null) ?? []), rest] }),
  STOPSIGNAL: (config, rest) => ({ ...config, StopSignal: rest }),
  USER: (config, rest) => ({ ...config, User: rest }),
  VOLUME: (config, rest) => merged(config, "Volumes", keys(rest)),
  WORKDIR: (config, rest) => ({
    ...config,
    WorkingDir: rest.startsWith("/") ? rest : `${String(config.WorkingDir ?? "").replace(/\/$/, "")}/${rest}`,
  }),
};
