/** Points in time as users give them and as docker shows them. */
import { HullError } from "../../platform/errors.ts";
import { parseDurationNs } from "../flags.ts";

/** A duration ago ("42m"), RFC 3339 or a date, or Unix seconds -> Unix seconds for the API. Throws invalid-argument. */
export function timestampOf(text: string | undefined, nowMs = Date.now()): string | undefined {
  if (text === undefined || text === "") return undefined;
  const agoNs = parseDurationNs(text);
  if (agoNs !== undefined) return seconds(nowMs - agoNs / 1e6);
  if (/^\d+(\.\d{1,9})?$/.test(text)) return text;
  const local = /^\d{4}-\d{2}-\d{2}(T\d{2}(:\d{2}){0,2}(\.\d+)?)?$/.test(text);
  const parsed = Date.parse(
    local && text.length === 10 ? `${text}T00:00:00` : text.length === 13 ? `${text}:00` : text,
  );
  if (Number.isNaN(parsed)) {
    throw new HullError(
      "invalid-argument",
      `invalid value for "since": failed to parse value as time or duration: ${JSON.stringify(text)}`,
    );
  }
  return seconds(parsed);
}

const seconds = (ms: number): string => (ms / 1000).toFixed(9);

/** "2026-01-02 15:04:05 +0000 UTC" (Go's time.Time String, second precision). */
export function formatLocal(date: Date): string {
  const pad = (value: number) => String(value).padStart(2, "0");
  const offset = -date.getTimezoneOffset();
  const sign = offset < 0 ? "-" : "+";
  const zone = `${sign}${pad(Math.trunc(Math.abs(offset) / 60))}${pad(Math.abs(offset) % 60)}`;
  const day = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
  return `${day} ${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())} ${zone} ${offset === 0 ? "UTC" : zone}`;
}
