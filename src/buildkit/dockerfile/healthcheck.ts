/** HEALTHCHECK NONE, HEALTHCHECK [flags] CMD command. */
import type { CommandForm, HealthcheckInstruction } from "./ast.ts";
import { parseDurationNs } from "./durations.ts";
import { type Flags, type FlagTable, parseFlags } from "./flags.ts";
import { complaint } from "./source-error.ts";
import { quoted, trimStart } from "./text.ts";

/** Nanoseconds: Docker takes no shorter one. */
const shortest = 1_000_000;

type Fields = Omit<HealthcheckInstruction, "kind" | "location" | "original" | "keyword" | "comments">;

export function parseHealthcheck(
  rest: string,
  flagWords: readonly string[],
  commandOf: (text: string) => CommandForm,
): Fields {
  const word = /^\S*/.exec(rest)![0];
  const type = word.toUpperCase();
  const text = trimStart(rest.slice(word.length));
  if (type === "") throw complaint("HEALTHCHECK requires at least one argument");
  if (type === "NONE") {
    if (text !== "") throw complaint("HEALTHCHECK NONE takes no arguments", text);
    return { ...timing(parseFlags([], flagTable)), command: "none" };
  }
  const flags = parseFlags(flagWords, flagTable);
  if (type !== "CMD") throw complaint(`Unknown type ${quoted(type)} in HEALTHCHECK (try CMD)`, word);
  const command = commandOf(text);
  const empty = command.form === "exec" ? command.argv.length === 0 : command.text === "";
  if (empty) throw complaint("Missing command after HEALTHCHECK CMD");
  return { ...timing(flags), command };
}

const flagTable: FlagTable = {
  interval: "text",
  timeout: "text",
  "start-period": "text",
  "start-interval": "text",
  retries: "text",
};

function timing(flags: Flags): Omit<Fields, "command"> {
  const duration = (name: string): number | undefined => {
    const text = flags.text(name);
    if (text === "") return undefined;
    const parsed = parseDurationNs(text);
    if (parsed === 0 || parsed >= shortest) return parsed;
    throw complaint(`Interval ${quoted(name)} cannot be less than 1ms`, text);
  };
  return {
    intervalNs: duration("interval"),
    timeoutNs: duration("timeout"),
    startPeriodNs: duration("start-period"),
    startIntervalNs: duration("start-interval"),
    retries: retriesOf(flags.text("retries")),
  };
}

function retriesOf(text: string): number | undefined {
  if (text === "") return undefined;
  if (!/^[+-]?\d+$/.test(text)) throw complaint(`strconv.ParseInt: parsing ${quoted(text)}: invalid syntax`, text);
  const retries = Number(text);
  if (Math.abs(retries) >= 2 ** 31) {
    throw complaint(`strconv.ParseInt: parsing ${quoted(text)}: value out of range`, text);
  }
  if (retries < 0) throw complaint(`--retries cannot be negative (${retries})`, text);
  return retries;
}
