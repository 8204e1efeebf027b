/** dockerd's command line: the table's flags as a map of what was given. Pure. */
import { HullError } from "../platform/errors.ts";
import { type Setting, settingByFlag, settingByShort, settings } from "./config-keys.ts";
import { fromFlag, type Value } from "./config-values.ts";

export type CommandLine =
  | { readonly kind: "run" | "validate"; readonly given: ReadonlyMap<string, Value> }
  | { readonly kind: "help" }
  | { readonly kind: "version" };

/** Reads the arguments. Throws invalid-argument in dockerd's words. */
export function parseFlags(argv: readonly string[]): CommandLine {
  const given = new Map<string, Value>();
  let validate = false;
  for (let i = 0; i < argv.length; i++) {
    const argument = argv[i]!;
    if (argument === "--help" || argument === "-h") return { kind: "help" };
    if (argument === "--version" || argument === "-v") return { kind: "version" };
    if (argument === "--validate") {
      validate = true;
      continue;
    }
    const { entry, value } = split(argument);
    if (value === undefined && entry.kind !== "bool") i++;
    const text = value ?? (entry.kind === "bool" ? "true" : argv[i]);
    if (text === undefined)
      throw bad(`flag needs an argument: ${argument.startsWith("--") ? argument : `'${argument[1]}' in ${argument}`}`);
    given.set(entry.flag, fromFlag(entry, text, given.get(entry.flag)));
  }
  return { kind: validate ? "validate" : "run", given };
}

function split(argument: string): { readonly entry: Setting; readonly value: string | undefined } {
  if (argument.startsWith("--")) {
    const [, name = "", , value] = /^--([^=]*)(=(.*))?$/s.exec(argument) ?? [];
    const entry = settingByFlag.get(name);
    if (!entry) throw bad(`unknown flag: --${name}`);
    return { entry, value };
  }
  if (!argument.startsWith("-") || argument === "-") {
    throw bad(`hulld: '${argument}' is not a hulld command or flag: it takes no arguments`);
  }
  const entry = settingByShort.get(argument[1]!);
  if (!entry) throw bad(`unknown shorthand flag: '${argument[1]}' in ${argument}`);
  const rest = argument.slice(2);
  return { entry, value: rest === "" ? undefined : rest.replace(/^=/, "") };
}

const bad = (message: string): HullError => new HullError("invalid-argument", message);

const placeholder: Readonly<Record<Setting["kind"], string>> = {
  bool: "",
  text: "string",
  int: "int",
  bytes: "bytes",
  list: "list",
  map: "map",
  ulimits: "ulimit",
  pools: "pool-options",
  runtimes: "runtime",
  entitlements: "entitlement",
};

export function helpText(): string {
  const rows = settings.map((entry) => {
    const short = entry.short ? `-${entry.short}, ` : "    ";
    return [`  ${short}--${entry.flag} ${placeholder[entry.kind]}`.trimEnd(), entry.help] as const;
  });
  const width = Math.max(...rows.map(([left]) => left.length)) + 3;
  const list = rows.map(([left, help]) => `${left.padEnd(width)}${help}`).join("\n");
  return `\nUsage:  hulld [OPTIONS]\n\nThe engine: Docker's API over hull-containerd and hull-netd.\n\nOptions:\n${list}\n`;
}
