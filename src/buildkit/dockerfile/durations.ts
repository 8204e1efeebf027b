/** Go's duration texts ("1m30s", "500ms"), which HEALTHCHECK has. */
import { complaint } from "./source-error.ts";
import { quoted } from "./text.ts";

const nanoseconds: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** The nanoseconds of a duration; throws in Go's words. */
export function parseDurationNs(text: string): number {
  const [, sign, body] = /^([+-]?)(.*)$/s.exec(text)!;
  if (body === "0") return 0;
  const invalid = complaint(`time: invalid duration ${quoted(text)}`, text);
  if (body === "") throw invalid;
  let total = 0;
  for (let rest = body!; rest !== ""; ) {
    const match = /^(\d+\.?\d*|\.\d+)([^\d.]*)/.exec(rest);
    if (match === null) throw invalid;
    const [whole, number, unit] = match;
    if (unit === "") throw complaint(`time: missing unit in duration ${quoted(text)}`, text);
    if (!Object.hasOwn(nanoseconds, unit!)) {
      throw complaint(`time: unknown unit ${quoted(unit!)} in duration ${quoted(text)}`, text);
    }
    total += Number(number) * nanoseconds[unit!]!;
    rest = rest.slice(whole.length);
  }
  if (total > 2 ** 63) throw invalid;
  return Math.trunc(sign === "-" ? -total : total);
}
