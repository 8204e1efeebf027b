/** Times as the Engine API writes them: RFC 3339 in UTC with up to nine digits of fraction, trailing zeros cut as Go does. */
import { nowMs } from "../trace/clock.ts";

/** Of a nanosecond count since the epoch. */
export function formatEpochNs(ns: bigint): string {
  const seconds = ns / 1_000_000_000n;
  const fraction = (ns % 1_000_000_000n).toString().padStart(9, "0").replace(/0+$/, "");
  const whole = new Date(Number(seconds) * 1000).toISOString().slice(0, 19);
  return fraction === "" ? `${whole}Z` : `${whole}.${fraction}Z`;
}

/** Nanoseconds since the epoch now; microsecond resolution. */
export const epochNsNow = (): bigint => BigInt(Math.round(nowMs() * 1000)) * 1000n;

export const timeNow = (): string => formatEpochNs(epochNsNow());

/** Nanoseconds since the epoch of an RFC 3339 time; undefined when it is none. */
export function parseTimeNs(text: string): bigint | undefined {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/.exec(text);
  if (!match) return undefined;
  const seconds = Date.parse(`${match[1]}${match[3]}`);
  if (Number.isNaN(seconds)) return undefined;
  return BigInt(seconds) * 1_000_000n + BigInt((match[2] ?? "").padEnd(9, "0"));
}
