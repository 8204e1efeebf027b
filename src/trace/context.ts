/** W3C trace context (https://www.w3.org/TR/trace-context/): the ids that tie the spans of one command together. */

export interface SpanContext {
  /** 32 hex digits. */
  readonly traceId: string;
  /** 16 hex digits. */
  readonly spanId: string;
}

/** Random digits for the ids to come, got for many at once: a run has 150 spans. */
let pool = "";
let used = 0;
const POOL_BYTES = 512;

function randomHex(bytes: number): string {
  if (used + 2 * bytes > pool.length) {
    // The global crypto: loading node:crypto costs a command 3 ms of its start.
    pool = Buffer.from(crypto.getRandomValues(new Uint8Array(POOL_BYTES))).toString("hex");
    used = 0;
  }
  used += 2 * bytes;
  return pool.slice(used - 2 * bytes, used);
}

export const newTraceId = (): string => randomHex(16);
export const newSpanId = (): string => randomHex(8);

const header = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}/;

/** The context of a `traceparent` header; undefined when absent or malformed (the specification says: start anew). */
export function parseTraceparent(text: string | undefined): SpanContext | undefined {
  const match = text === undefined ? null : header.exec(text);
  if (!match || /^0+$/.test(match[1]!) || /^0+$/.test(match[2]!)) return undefined;
  return { traceId: match[1]!, spanId: match[2]! };
}

export const formatTraceparent = (context: SpanContext): string => `00-${context.traceId}-${context.spanId}-01`;
