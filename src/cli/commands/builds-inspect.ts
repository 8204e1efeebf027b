import type { BuildStep } from "../../buildkit/explain/build-steps.ts";
import type { BuildHistoryRecord } from "../../buildkit/gen/moby/buildkit/v1/control_pb.ts";
import { BuildHistory } from "../builds/build-history.ts";
import {
  durationMs,
  formatTook,
  nameOf,
  resultsOf,
  startedMs,
  statusOf,
  stepsText,
  traceOf,
} from "../builds/record-view.ts";
import { explanationText } from "../builds/steps-text.ts";
import type { Command } from "../command.ts";
import { inspectEach } from "../format/show.ts";
import { alignTabs } from "../format/tabs.ts";
import { print } from "../streams/output.ts";
import type { Value } from "../template/value.ts";

export const command: Command = {
  usage: "[OPTIONS] [BUILD]",
  operands: [0, 1],
  flags: [
    {
      name: "format",
      short: "f",
      kind: "string",
      help: "Format output using a custom template: 'json' or a Go template",
    },
  ],
  async run({ flags, operands: [name = ""], session }) {
    await using history = await BuildHistory.open(session);
    const record = await history.find(name);
    const steps = await history.steps(record);
    const format = flags.text("format");
    if (format !== undefined) return await inspectEach([record.Ref], format, async () => documentOf(record, steps));
    await print(text(record, steps));
    return 0;
  },
};

function text(record: BuildHistoryRecord, steps: readonly BuildStep[]): string {
  const { Ref, FrontendAttrs: attributes, error } = record;
  const lines = [
    ["Build", Ref],
    ["Name", nameOf(record)],
    ["Dockerfile", attributes.filename ?? ""],
    ["Target", attributes.target ?? ""],
    ["Platforms", attributes.platform ?? ""],
    ["Status", statusOf(record)],
    ["Started", new Date(startedMs(record)).toISOString()],
    ["Duration", formatTook(durationMs(record, Date.now()))],
    ["Steps", stepsText(record)],
    ["Error", error?.message ?? ""],
    ...Object.entries(attributes)
      .filter(([name]) => name.startsWith("build-arg:"))
      .map(([name, value]) => ["Build argument", `${name.slice("build-arg:".length)}=${value}`]),
    ...resultsOf(record).map(([name, value]) => [name, value]),
    ["Trace", `${traceOf(record)} (hull trace ${traceOf(record)})`],
  ].filter(([, value]) => value !== "");
  const table = alignTabs(lines.map(([name, value]) => `${name}:\t${value}`).join("\n"));
  return `${table}\n${record.CompletedAt ? `\n${explanationText(steps)}` : ""}`;
}

const documentOf = (record: BuildHistoryRecord, steps: readonly BuildStep[]): Value =>
  ({
    Ref: record.Ref,
    Name: nameOf(record),
    Status: statusOf(record),
    StartedAt: new Date(startedMs(record)).toISOString(),
    DurationMs: durationMs(record, Date.now()),
    Attributes: record.FrontendAttrs,
    Error: record.error ? record.error.message : "",
    TotalSteps: record.numTotalSteps,
    CompletedSteps: record.numCompletedSteps,
    CachedSteps: record.numCachedSteps,
    Warnings: record.numWarnings,
    Results: Object.fromEntries(resultsOf(record)),
    Trace: traceOf(record),
    Steps: steps.map(({ name, digest, key, cached, reasons }) => ({
      ...{ Name: name, Digest: digest, Key: key, Cached: cached, Reasons: [...reasons] },
    })),
  }) as Value;
