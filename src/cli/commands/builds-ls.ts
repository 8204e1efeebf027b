import type { BuildHistoryRecord } from "../../buildkit/gen/moby/buildkit/v1/control_pb.ts";
import { BuildHistory } from "../builds/build-history.ts";
import { durationMs, formatTook, nameOf, startedMs, statusOf, stepsText, traceOf } from "../builds/record-view.ts";
import type { Command } from "../command.ts";
import { formatList, type Listing } from "../format/listing.ts";
import { humanDuration } from "../format/units.ts";
import { print } from "../streams/output.ts";

const ago = (ms: number): string => `${humanDuration((Date.now() - ms) / 1000)} ago`;

const listing: Listing<BuildHistoryRecord> = {
  table: "table {{.Ref}}\t{{.Name}}\t{{.Status}}\t{{.Steps}}\t{{.Started}}\t{{.Duration}}",
  fields: {
    Ref: { header: "BUILD ID", value: ({ Ref }) => Ref },
    Name: { header: "NAME", value: nameOf },
    Status: { header: "STATUS", value: statusOf },
    Steps: { header: "STEPS", value: stepsText },
    Started: { header: "STARTED", value: (record) => ago(startedMs(record)) },
    StartedAt: { header: "STARTED", value: (record) => new Date(startedMs(record)).toISOString() },
    Duration: { header: "DURATION", value: (record) => formatTook(durationMs(record, Date.now())) },
    Trace: { header: "TRACE", value: traceOf },
  },
};

export const command: Command = {
  usage: "[OPTIONS]",
  operands: [0, 0],
  flags: [
    { name: "filter", kind: "list", help: 'Filter builds ("status==error", "startedAt>=24h", "ref~=abc")' },
    { name: "format", kind: "string", help: "Format output using a custom template: 'table', 'json' or a Go template" },
    { name: "quiet", short: "q", kind: "bool", help: "Only show build ids" },
  ],
  async run({ flags, session }) {
    await using history = await BuildHistory.open(session);
    const records = await history.list(flags.list("filter"));
    if (flags.bool("quiet")) await print(records.map(({ Ref }) => `${Ref}\n`).join(""));
    else await print(formatList(listing, records, flags.text("format")));
    return 0;
  },
};
