/** Signals that STOPSIGNAL takes: a number, "KILL" or "SIGKILL" in any case, "RTMIN+3". */
import { constants } from "node:os";
import { HullError } from "../../platform/errors.ts";

const FIRST_REAL_TIME = 34;
const LAST = 64;

/** Throws invalid-argument in Docker's words. Docker takes every number but 0. */
export function checkSignal(text: string): void {
  const isKnown = /^[+-]?\d+$/.test(text)
    ? Number(text) !== 0
    : numberOf(text.toUpperCase().replace(/^SIG/, "")) !== undefined;
  if (!isKnown) throw new HullError("invalid-argument", `invalid signal: ${text}`);
}

function numberOf(name: string): number | undefined {
  const realTime = /^RT(?:MIN(?:\+(\d{1,2}))?|MAX(?:-(\d{1,2}))?)$/.exec(name);
  if (realTime === null) return constants.signals[`SIG${name}` as keyof typeof constants.signals];
  const number = name.startsWith("RTMIN")
    ? FIRST_REAL_TIME + Number(realTime[1] ?? 0)
    : LAST - Number(realTime[2] ?? 0);
  return number >= FIRST_REAL_TIME && number <= LAST ? number : undefined;
}
