import { HullError } from "../../platform/errors.ts";
import { toOtlp } from "../../trace/otlp.ts";
import type { SpanRecord } from "../../trace/span.ts";
import { formatWaterfall } from "../../trace/waterfall.ts";
import type { Command } from "../command.ts";
import { print, printLine } from "../streams/output.ts";

const BAR_COLUMNS = 40;
const FOLD_BELOW_MS = 0.1;

export const command: Command = {
  usage: "[OPTIONS] [TRACE|CONTAINER]",
  operands: [0, 1],
  flags: [
    { name: "all", short: "a", kind: "bool", help: "Show every kernel operation, however short" },
    { name: "list", short: "l", kind: "bool", help: "List the latest traces" },
    { name: "otlp", kind: "bool", help: "Print the trace as OTLP/HTTP JSON" },
    {
      name: "otlp-endpoint",
      kind: "string",
      help: "Send the trace to an OpenTelemetry collector (URL without /v1/traces)",
    },
  ],
  async run({ flags, operands, session }) {
    const subject = operands[0];
    if (flags.bool("list")) {
      const { traces } = await session.json<{ traces: readonly SpanRecord[] }>({
        path: "/hull/v1/traces",
        query: { list: true },
      });
      for (const root of traces)
        await printLine(
          `${root.traceId}  ${new Date(root.startMs).toISOString()}  ${root.durationMs.toFixed(1).padStart(9)} ms  ${root.name}`,
        );
      return 0;
    }
    const query =
      subject === undefined
        ? { last: 1 }
        : /^[0-9a-f]{32}$/.test(subject)
          ? { trace: subject }
          : { container: subject };
    const { spans } = await session.json<{ spans: readonly SpanRecord[] }>({ path: "/hull/v1/traces", query });
    if (spans.length === 0)
      throw new HullError(
        "not-found",
        subject === undefined ? "no trace is stored yet" : `no trace of ${subject} is stored`,
      );
    if (flags.bool("otlp")) await printLine(JSON.stringify(toOtlp(spans)));
    else if (flags.has("otlp-endpoint")) await exportTo(flags.text("otlp-endpoint")!, spans);
    else
      await print(
        formatWaterfall(spans, { barColumns: BAR_COLUMNS, foldBelowMs: flags.bool("all") ? 0 : FOLD_BELOW_MS }),
      );
    return 0;
  },
};

async function exportTo(endpoint: string, spans: readonly SpanRecord[]): Promise<void> {
  const response = await fetch(`${endpoint.replace(/\/$/, "")}/v1/traces`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(toOtlp(spans)),
  });
  if (!response.ok)
    throw new HullError("unavailable", `${endpoint} answered ${response.status}: ${await response.text()}`);
}
