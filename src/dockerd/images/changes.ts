/** Dockerfile instructions given to `import --change` and `commit --change`, applied to an image's config. Pure. */
import { HullError } from "../../platform/errors.ts";

/** The `config` object of an image config. */
export interface MutableConfig {
  readonly [field: string]: unknown;
}

type Apply = (config: MutableConfig, argument: string) => MutableConfig;

/** Throws invalid-argument in Docker's words. */
export function applyChanges(config: MutableConfig, changes: readonly string[]): MutableConfig {
  return changes
    .flatMap((change) => change.split("\n"))
    .filter((line) => line.trim() !== "" && !line.trim().startsWith("#"))
    .reduce(applyOne, config);
}

function applyOne(config: MutableConfig, line: string): MutableConfig {
  const [, name = "", argument = ""] = /^\s*([A-Za-z]+)(?:\s+(.*))?$/s.exec(line) ?? [];
  const apply = instructions[name.toUpperCase()];
  if (!apply) throw bad(`${name.toUpperCase() || line.trim()} is not a valid change command`);
  if (argument.trim() === "") throw bad(`${name.toUpperCase()} requires at least one argument`);
  return apply(config, argument.trim());
}

const bad = (message: string): HullError => new HullError("invalid-argument", message);

const set =
  (field: string): Apply =>
  (config, argument) => ({ ...config, [field]: unquote(argument) });

const command =
  (field: string): Apply =>
  (config, argument) => ({ ...config, [field]: jsonList(argument) ?? ["/bin/sh", "-c", argument] });

const addKeys =
  (field: string, form: (word: string) => string): Apply =>
  (config, argument) => ({
    ...config,
    [field]: {
      ...(config[field] as object),
      ...Object.fromEntries((jsonList(argument) ?? words(argument)).map((word) => [form(word), {}])),
    },
  });

const instructions: Readonly<Record<string, Apply>> = {
  CMD: command("Cmd"),
  ENTRYPOINT: command("Entrypoint"),
  USER: set("User"),
  WORKDIR: workdir,
  STOPSIGNAL: set("StopSignal"),
  VOLUME: addKeys("Volumes", (path) => path),
  EXPOSE: addKeys("ExposedPorts", portOf),
  ENV: env,
  LABEL: label,
  ONBUILD: (config, argument) => ({ ...config, OnBuild: [...((config.OnBuild as string[] | null) ?? []), argument] }),
  HEALTHCHECK: healthcheck,
};

function workdir(config: MutableConfig, argument: string): MutableConfig {
  const path = unquote(argument);
  const base = typeof config.WorkingDir === "string" && config.WorkingDir !== "" ? config.WorkingDir : "/";
  return { ...config, WorkingDir: path.startsWith("/") ? path : `${base.replace(/\/$/, "")}/${path}` };
}

function portOf(text: string): string {
  const match = /^(\d+(?:-\d+)?)(?:\/(tcp|udp|sctp))?$/i.exec(text);
  if (!match) throw bad(`invalid containerPort: ${text}`);
  return `${match[1]}/${(match[2] ?? "tcp").toLowerCase()}`;
}

function env(config: MutableConfig, argument: string): MutableConfig {
  const added = pairs("ENV", argument);
  const kept = ((config.Env as string[] | null) ?? []).filter(
    (entry) => !added.some(([name]) => entry.startsWith(`${name}=`)),
  );
  return { ...config, Env: [...kept, ...added.map(([name, value]) => `${name}=${value}`)] };
}

function label(config: MutableConfig, argument: string): MutableConfig {
  const labels = { ...(config.Labels as object | null), ...Object.fromEntries(pairs("LABEL", argument)) };
  return { ...config, Labels: labels };
}

/** `k=v k2="v 2"`, or the older `k the rest`. */
function pairs(name: string, argument: string): (readonly [string, string])[] {
  const list = words(argument);
  if (!list[0]!.includes("=")) {
    const space = argument.search(/\s/);
    if (space < 0) throw bad(`${name} must have two arguments`);
    return [[argument.slice(0, space), argument.slice(space).trim()]];
  }
  return list.map((word) => {
    const equals = word.indexOf("=");
    if (equals < 1) throw bad(`Syntax error - can't find = in "${word}". Must be of the form: name=value`);
    return [word.slice(0, equals), word.slice(equals + 1)];
  });
}

const durations: Readonly<Record<string, string>> = {
  interval: "Interval",
  timeout: "Timeout",
  "start-period": "StartPeriod",
  "start-interval": "StartInterval",
};
const unitNs: Readonly<Record<string, number>> = { ns: 1, us: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

function healthcheck(config: MutableConfig, argument: string): MutableConfig {
  const options: Record<string, unknown> = {};
  let rest = argument;
  for (let match = optionAt(rest); match; match = optionAt(rest)) {
    const [whole, name, value] = match as unknown as [string, string, string];
    if (name === "retries") options.Retries = Number(value);
    else if (durations[name]) options[durations[name]] = parseDuration(value);
    else throw bad(`Unknown flag: ${name}`);
    rest = rest.slice(whole.length);
  }
  if (/^none$/i.test(rest)) return { ...config, Healthcheck: { Test: ["NONE"] } };
  const test = /^cmd\s+(.*)$/is.exec(rest)?.[1];
  if (test === undefined) throw bad(`Unknown type "${rest.split(/\s/)[0]}" in HEALTHCHECK (try CMD)`);
  const list = jsonList(test);
  return { ...config, Healthcheck: { Test: list ? ["CMD", ...list] : ["CMD-SHELL", test], ...options } };
}

const optionAt = (text: string): RegExpExecArray | null => /^--([a-z-]+)=(\S+)\s+/.exec(text);

function parseDuration(text: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)/g)];
  if (parts.length === 0 || parts.map(([whole]) => whole).join("") !== text)
    throw bad(`time: invalid duration "${text}"`);
  return parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * unitNs[unit!]!, 0);
}

function jsonList(text: string): string[] | undefined {
  if (!text.startsWith("[")) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) && value.every((item) => typeof item === "string") ? value : undefined;
  } catch {
    return undefined; // Then it is a shell command that begins with "[", as Docker reads it.
  }
}

/** Words as a shell splits them; quotes and backslashes are taken away. */
function words(text: string): string[] {
  const found = text.match(/(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+/gs) ?? [];
  return found.map((word) =>
    word.replace(/"((?:[^"\\]|\\.)*)"|'([^']*)'|\\(.)/gs, (_all, double?: string, single?: string, escaped?: string) =>
      double !== undefined ? double.replace(/\\(["\\$])/g, "$1") : (single ?? escaped ?? ""),
    ),
  );
}

const unquote = (text: string): string => words(text).join(" ");
