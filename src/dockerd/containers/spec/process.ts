/** The process part of the specification: arguments, environment, limits. Pure. */
import { defaultPath } from "../../../oci/default-spec.ts";
import type { ContainerRecord } from "../record.ts";

export const INIT_PATH = "/sbin/docker-init";

export function argumentsOf(record: ContainerRecord): string[] {
  const own = [record.path, ...record.args];
  return hasInit(record) ? [INIT_PATH, "--", ...own] : own;
}

/** A tiny init of our own as process 1; pointless in another's pid namespace. */
export const hasInit = ({ hostConfig }: ContainerRecord): boolean =>
  hostConfig.Init === true && hostConfig.PidMode === "";

/** Docker's own variables, then the container's; a name without "=" removes. */
export function environmentOf({ config }: ContainerRecord, extra: readonly string[] = []): string[] {
  const merged = new Map<string, string>();
  const own = [defaultPath, `HOSTNAME=${config.Hostname}`, ...(config.Tty ? ["TERM=xterm"] : [])];
  for (const variable of [...own, ...config.Env, ...extra]) {
    const name = variable.split("=", 1)[0]!;
    if (variable.includes("=")) merged.set(name, variable);
    else merged.delete(name);
  }
  return [...merged.values()];
}

interface NamedLimit {
  readonly name: string;
  readonly soft: number;
  readonly hard: number;
}

const MAX_LIMIT = 2 ** 64;

/** The engine's defaults under the container's own; -1 is unlimited. */
export function rlimitsOf(
  { hostConfig }: ContainerRecord,
  defaults: readonly NamedLimit[],
): { type: string; soft: number; hard: number }[] {
  const own = (hostConfig.Ulimits ?? []).map(({ Name, Soft, Hard }) => ({ name: Name, soft: Soft, hard: Hard }));
  const names = new Set(own.map(({ name }) => name));
  const value = (limit: number): number => (limit < 0 ? MAX_LIMIT : limit);
  return [...defaults.filter(({ name }) => !names.has(name)), ...own].map(({ name, soft, hard }) => ({
    type: `RLIMIT_${name.toUpperCase()}`,
    soft: value(soft),
    hard: value(hard),
  }));
}
