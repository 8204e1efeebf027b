/**
 * The part of an image's document that says how its containers run: read from a base image, changed by instructions, written in the
 * form of either builder.
 */
import type { Dialect } from "./vertex.ts";

export interface RunConfig {
  readonly user: string;
  /** "80/tcp"; undefined: no such field. */
  readonly exposedPorts: readonly string[] | undefined;
  readonly env: readonly string[];
  readonly cmd: readonly string[] | undefined;
  readonly healthcheck: Healthcheck | undefined;
  readonly argsEscaped: boolean;
  readonly volumes: readonly string[] | undefined;
  readonly workingDirectory: string;
  readonly entrypoint: readonly string[] | undefined;
  readonly onBuild: readonly string[] | undefined;
  readonly labels: Readonly<Record<string, string>> | undefined;
  readonly stopSignal: string;
  readonly shell: readonly string[];
  /** What no instruction changes, as the base image has it (Hostname, Tty, StopTimeout, ...). */
  readonly others: Json;
}

export interface Healthcheck {
  readonly test: readonly string[];
  /** Nanoseconds; 0 inherits. */
  readonly interval: number;
  readonly timeout: number;
  readonly startPeriod: number;
  /** Undefined: not written at all. */
  readonly startInterval: number | undefined;
  readonly retries: number;
}

type Json = Readonly<Record<string, unknown>>;

export const DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** The `config` member of an image's document; what is missing or of another type is taken as not set. */
export function parseRunConfig(config: unknown): RunConfig {
  const json = objectOf(config) ?? {};
  return {
    user: textOf(json.User),
    exposedPorts: keysOf(json.ExposedPorts),
    env: textsOf(json.Env) ?? [],
    cmd: textsOf(json.Cmd),
    healthcheck: parseHealthcheck(objectOf(json.Healthcheck)),
    argsEscaped: json.ArgsEscaped === true,
    volumes: keysOf(json.Volumes),
    workingDirectory: textOf(json.WorkingDir),
    entrypoint: textsOf(json.Entrypoint),
    onBuild: textsOf(json.OnBuild),
    labels: objectOf(json.Labels) as Readonly<Record<string, string>> | undefined,
    stopSignal: textOf(json.StopSignal),
    shell: textsOf(json.Shell) ?? [],
    others: json,
  };
}

/** Of an image without layers. */
export function emptyRunConfig(dialect: Dialect): RunConfig {
  const config = parseRunConfig({});
  return dialect === "classic" ? config : { ...config, env: [DEFAULT_PATH], workingDirectory: "/" };
}

/** PATH is always set. */
export const withPath = (config: RunConfig): RunConfig =>
  config.env.some((entry) => variableName(entry) === "PATH")
    ? config
    : { ...config, env: [...config.env, DEFAULT_PATH] };

/** "NAME=value" put in place of an earlier one of that name. */
export function withEnvironment(env: readonly string[], name: string, value: string): readonly string[] {
  const entry = `${name}=${value}`;
  const at = env.findIndex((other) => variableName(other) === name);
  return at < 0 ? [...env, entry] : env.with(at, entry);
}

export const variableName = (entry: string): string => entry.split("=", 1)[0]!;
export const variableValue = (entry: string): string => entry.slice(variableName(entry).length + 1);

/** As dockerd writes it: all fields, in its order. `image` is the parent's id. */
export function formatClassicConfig(config: RunConfig, image: string): Json {
  const { others } = config;
  return {
    Hostname: textOf(others.Hostname),
    Domainname: textOf(others.Domainname),
    User: config.user,
    AttachStdin: others.AttachStdin === true,
    AttachStdout: others.AttachStdout === true,
    AttachStderr: others.AttachStderr === true,
    ...filled("ExposedPorts", setOf(config.exposedPorts)),
    Tty: others.Tty === true,
    OpenStdin: false,
    StdinOnce: false,
    Env: config.env,
    Cmd: config.cmd ?? null,
    ...(config.healthcheck && { Healthcheck: formatHealthcheck(config.healthcheck) }),
    ...(config.argsEscaped && { ArgsEscaped: true }),
    Image: image,
    Volumes: setOf(config.volumes) ?? null,
    WorkingDir: config.workingDirectory,
    Entrypoint: config.entrypoint ?? null,
    ...(others.NetworkDisabled === true && { NetworkDisabled: true }),
    ...(textOf(others.MacAddress) !== "" && { MacAddress: others.MacAddress }),
    OnBuild: config.onBuild ?? null,
    Labels: sorted(config.labels) ?? null,
    ...(config.stopSignal !== "" && { StopSignal: config.stopSignal }),
    ...(typeof others.StopTimeout === "number" && { StopTimeout: others.StopTimeout }),
    ...filled("Shell", config.shell),
  };
}

/** As BuildKit writes it: the image specification's fields and Docker's three, only what is set. */
export function formatBuildkitConfig(config: RunConfig): Json {
  return {
    ...filled("User", config.user),
    ...filled("ExposedPorts", setOf(config.exposedPorts)),
    ...filled("Env", config.env),
    ...filled("Entrypoint", config.entrypoint),
    ...filled("Cmd", config.cmd),
    ...filled("Volumes", setOf(config.volumes)),
    ...filled("WorkingDir", config.workingDirectory),
    ...filled("Labels", sorted(config.labels)),
    ...filled("StopSignal", config.stopSignal),
    ...(config.argsEscaped && { ArgsEscaped: true }),
    ...(config.healthcheck && { Healthcheck: formatHealthcheck(config.healthcheck) }),
    ...filled("OnBuild", config.onBuild),
    ...filled("Shell", config.shell),
  };
}

function parseHealthcheck(json: Json | undefined): Healthcheck | undefined {
  if (json === undefined) return undefined;
  const numberOf = (value: unknown): number => (typeof value === "number" ? value : 0);
  return {
    test: textsOf(json.Test) ?? [],
    interval: numberOf(json.Interval),
    timeout: numberOf(json.Timeout),
    startPeriod: numberOf(json.StartPeriod),
    startInterval: typeof json.StartInterval === "number" ? json.StartInterval : undefined,
    retries: numberOf(json.Retries),
  };
}

const formatHealthcheck = (check: Healthcheck): Json => ({
  ...filled("Test", check.test),
  ...(check.interval !== 0 && { Interval: check.interval }),
  ...(check.timeout !== 0 && { Timeout: check.timeout }),
  ...(check.startPeriod !== 0 && { StartPeriod: check.startPeriod }),
  ...(check.startInterval && { StartInterval: check.startInterval }),
  ...(check.retries !== 0 && { Retries: check.retries }),
});

/** The member, unless it is empty: Go's omitempty. */
function filled(name: string, value: string | readonly string[] | Json | undefined): Json {
  if (value === undefined || value === "") return {};
  const isEmpty = typeof value !== "string" && Object.keys(value).length === 0;
  return isEmpty ? {} : { [name]: value };
}

const setOf = (names: readonly string[] | undefined): Json | undefined =>
  names && Object.fromEntries([...names].sort(byBytes).map((name) => [name, {}]));

const sorted = (labels: Readonly<Record<string, string>> | undefined): Json | undefined =>
  labels && Object.fromEntries(Object.entries(labels).sort(([a], [b]) => byBytes(a, b)));

/** Go sorts the names of a map by their bytes. */
export const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");
const textsOf = (value: unknown): readonly string[] | undefined =>
  Array.isArray(value) ? value.filter((item) => typeof item === "string") : undefined;
const objectOf = (value: unknown): Json | undefined =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : undefined;
const keysOf = (value: unknown): readonly string[] | undefined => {
  const json = objectOf(value);
  return json && Object.keys(json);
};
