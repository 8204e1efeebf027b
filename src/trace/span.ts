/** A finished span as it is stored and sent: plain data. */
export interface SpanRecord {
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for the root of a trace. */
  readonly parentId: string;
  /** What was done: "POST /containers/{id}/start", "mount", "clone3". */
  readonly name: string;
  /** Which process did it: hull, hulld, hull-containerd, hull-netd, keel. */
  readonly service: string;
  /** Milliseconds since the epoch, with fractions down to about a microsecond. */
  readonly startMs: number;
  readonly durationMs: number;
  readonly attributes: Readonly<Record<string, string | number>>;
  /** Empty when it succeeded. */
  readonly error: string;
}
