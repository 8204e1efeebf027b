/** Signals by Docker's rules: a number, "KILL" or "SIGKILL" in any case, "RTMIN+3". */
import { constants } from "node:os";
import { HullError } from "../../platform/errors.ts";

const RTMIN = 34;
const RTMAX = 64;

/** Throws invalid-argument in Docker's words. */
export function parseSignal(text: string): number {
  if (/^\d{1,3}$/.test(text)) {
    const number = Number(text);
    if (number >= 1 && number <= RTMAX) return number;
    throw unknown(text);
  }
  const name = text.toUpperCase().replace(/^SIG/, "");
  const realTime = /^RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(name);
  if (realTime) return realTimeSignal(realTime, text);
  const number = constants.signals[`SIG${name}` as keyof typeof constants.signals];
  if (number === undefined) throw unknown(text);
  return number;
}

function realTimeSignal(match: RegExpExecArray, text: string): number {
  const offset = Number(match[3] ?? 0) * (match[2] === "-" ? -1 : 1);
  const number = (match[1] === "MIN" ? RTMIN : RTMAX) + offset;
  if (number < RTMIN || number > RTMAX) throw unknown(text);
  return number;
}

const unknown = (text: string): HullError => new HullError("invalid-argument", `invalid signal: ${text}`);

export const SIGKILL = 9;
export const SIGTERM = 15;
