/** Spans as an OTLP/HTTP JSON request body (opentelemetry-proto, trace service, JSON encoding). */
import type { SpanRecord } from "./span.ts";

const STATUS_OK = 1;
const STATUS_ERROR = 2;
const KIND_INTERNAL = 1;

/** Epoch milliseconds with a fraction to decimal nanoseconds, without losing digits. */
function nanoseconds(ms: number): string {
  const whole = Math.trunc(ms);
  return (BigInt(whole) * 1_000_000n + BigInt(Math.round((ms - whole) * 1e6))).toString();
}

const attribute = (key: string, value: string | number) => ({
  key,
  value:
    typeof value === "string"
      ? { stringValue: value }
      : Number.isInteger(value)
        ? { intValue: String(value) }
        : { doubleValue: value },
});

const attributesOf = (values: Readonly<Record<string, string | number>>) =>
  Object.entries(values).map(([key, value]) => attribute(key, value));

function otlpSpan(span: SpanRecord) {
  return {
    traceId: span.traceId,
    spanId: span.spanId,
    parentSpanId: span.parentId,
    name: span.name,
    kind: KIND_INTERNAL,
    startTimeUnixNano: nanoseconds(span.startMs),
    endTimeUnixNano: nanoseconds(span.startMs + span.durationMs),
    attributes: attributesOf(span.attributes),
    status: span.error === "" ? { code: STATUS_OK } : { code: STATUS_ERROR, message: span.error },
  };
}

/** The body of POST <endpoint>/v1/traces: one resource per service. */
export function toOtlp(spans: readonly SpanRecord[]) {
  const services = [...new Set(spans.map((span) => span.service))];
  return {
    resourceSpans: services.map((service) => ({
      resource: { attributes: attributesOf({ "service.name": service }) },
      scopeSpans: [
        { scope: { name: "glasshull" }, spans: spans.filter((span) => span.service === service).map(otlpSpan) },
      ],
    })),
  };
}
