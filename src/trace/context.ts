/** W3C trace context (https://www.w3.org/TR/trace-context/): the ids that tie the spans of one command together. */

export interface SpanContext {
  /** 32 hex digits. */
  readonly traceId: string;
  /** 16 hex digits. */
  readonly spanId: string;
}

// The global crypto: loading node:crypto costs a command 3 ms of its start.
const randomHex = (bytes: number): string => Buffer.from(crypto.getRandomValues(new Uint8Array(bytes))).toString("hex");

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
