/** Lines of a json-file log: {"log":"...","stream":"stdout","time":"..."}. Pure. */
import { parseTimeNs } from "../../time.ts";

export interface LogLine {
  /** The text with its newline; without one when the line went on. */
  readonly text: string;
  readonly stream: "stdout" | "stderr";
  /** As written. */
  readonly time: string;
  readonly timeNs: bigint;
}

/** undefined for what is no line of a log (a torn write): it is skipped. */
export function parseLogLine(json: string): LogLine | undefined {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { log, stream, time } = value as Readonly<Record<string, unknown>>;
  if (typeof log !== "string" || typeof time !== "string" || (stream !== "stdout" && stream !== "stderr"))
    return undefined;
  const timeNs = parseTimeNs(time);
  if (timeNs === undefined) return undefined;
  return { text: log, stream, time, timeNs };
}

/** Nine digits of fraction, always: timestamps line up. */
export function fixedWidthTime(time: string): string {
  const match = /^(.{19})(?:\.(\d+))?(.*)$/.exec(time);
  return match ? `${match[1]}.${(match[2] ?? "").padEnd(9, "0")}${match[3]}` : time;
}
