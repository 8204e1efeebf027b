import type { Command } from "../command.ts";
import { encodeFilters, filterFlag } from "../format/filters.ts";
import { unescapeTabs } from "../format/listing.ts";
import { timestampOf } from "../format/timestamps.ts";
import { jsonValues, printLine } from "../streams/output.ts";
import { compile } from "../template/template.ts";
import type { Value } from "../template/value.ts";

interface Event {
  readonly Type: string;
  readonly Action: string;
  readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> | null };
  readonly time: number;
  readonly timeNano: number;
}

export const command: Command = {
  usage: "[OPTIONS]",
  operands: [0, 0],
  flags: [
    filterFlag,
    { name: "format", kind: "string", help: "Format output using a custom template: 'json' or a Go template" },
    { name: "since", kind: "string", help: "Show all events created since timestamp" },
    { name: "until", kind: "string", help: "Stream events until this timestamp" },
  ],
  async run({ flags, session }) {
    const format = flags.text("format");
    const template = format === undefined || format === "json" ? undefined : compile(unescapeTabs(format));
    const response = await session.call({
      path: "/events",
      query: {
        filters: encodeFilters(flags.list("filter")),
        since: timestampOf(flags.text("since")),
        until: timestampOf(flags.text("until")),
      },
    });
    for await (const event of jsonValues<Event>(response)) {
      if (template) await printLine(template.render(event as unknown as Value));
      else await printLine(format === "json" ? JSON.stringify(event) : formatEvent(event));
    }
    return 0;
  },
};

/** "2026-01-02T15:04:05.000000000Z container start abc (image=busybox, name=x)". */
export function formatEvent(event: Event): string {
  const at = new Date(Math.trunc(event.timeNano / 1e6));
  const nanos = String(Math.trunc(event.timeNano % 1e9)).padStart(9, "0");
  const attributes = Object.entries(event.Actor.Attributes ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .sort();
  const time = `${at.toISOString().slice(0, 19)}.${nanos}Z`;
  return `${time} ${event.Type} ${event.Action} ${event.Actor.ID}${attributes.length > 0 ? ` (${attributes.join(", ")})` : ""}`;
}
