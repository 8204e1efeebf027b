/** "KILL", "SIGKILL", "9" as numbers. Pure. */
import { constants } from "node:os";
import { HullError } from "../../platform/errors.ts";

const LAST_SIGNAL = 64;
const SIGRTMIN = 34;
const SIGRTMAX = 64;

export function parseSignal(text: string): number {
  if (/^\d+$/.test(text)) {
    const number = Number(text);
    if (number > 0 && number <= LAST_SIGNAL) return number;
  }
  const name = `SIG${text.toUpperCase().replace(/^SIG/, "")}`;
  const known = (constants.signals as Readonly<Record<string, number>>)[name];
  if (known !== undefined) return known;
  const realtime = /^SIGRT(MIN|MAX)(?:([+-])(\d+))?$/.exec(name);
  const base = realtime?.[1] === "MIN" ? SIGRTMIN : SIGRTMAX;
  const number = realtime ? base + Number(`${realtime[2] ?? "+"}${realtime[3] ?? 0}`) : 0;
  if (number < SIGRTMIN || number > SIGRTMAX) throw new HullError("invalid-argument", `unknown signal "${text}"`);
  return number;
}
