/** Times in queries (since, until). */
import { HullError } from "../../platform/errors.ts";
import { parseTimeNs } from "../time.ts";

/** Seconds since the epoch with up to nine digits of fraction, or RFC 3339; "" and 0 are undefined. Nanoseconds. Throws invalid-argument. */
export function parseInstant(text: string): bigint | undefined {
  if (text === "") return undefined;
  const unix = /^(\d{1,12})(?:\.(\d{1,9}))?$/.exec(text);
  const ns = unix ? BigInt(unix[1]!) * 1_000_000_000n + BigInt((unix[2] ?? "").padEnd(9, "0")) : parseTimeNs(text);
  if (ns === undefined) {
    throw new HullError("invalid-argument", `failed to parse value as time or duration: ${JSON.stringify(text)}`);
  }
  return ns === 0n ? undefined : ns;
}
