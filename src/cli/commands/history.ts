import type { Command } from "../command.ts";
import { formatFlag } from "../format/filters.ts";
import { formatList, type Listing } from "../format/listing.ts";
import { humanDuration, humanSize } from "../format/units.ts";
import { print } from "../streams/output.ts";

interface Entry {
  readonly Id: string;
  readonly Created: number;
  readonly CreatedBy: string;
  readonly Size: number;
  readonly Comment: string;
}

function listing(truncate: boolean, human: boolean): Listing<Entry> {
  const shorten = (text: string) => (truncate && text.length > 45 ? `${text.slice(0, 44)}…` : text);
  const created = (entry: Entry) => new Date(entry.Created * 1000).toISOString().replace(".000", "");
  return {
    table: "table {{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
    fields: {
      ID: { header: "IMAGE", value: (entry) => (truncate ? entry.Id.replace(/^sha256:/, "").slice(0, 12) : entry.Id) },
      CreatedAt: { header: "CREATED AT", value: created },
      CreatedSince: {
        header: "CREATED",
        value: (entry) =>
          entry.Created <= 0
            ? "N/A"
            : human
              ? `${humanDuration(Date.now() / 1000 - entry.Created)} ago`
              : created(entry),
      },
      CreatedBy: { header: "CREATED BY", value: (entry) => shorten(entry.CreatedBy.replaceAll("\t", " ")) },
      Size: { header: "SIZE", value: (entry) => (human ? humanSize(entry.Size, 3) : String(entry.Size)) },
      Comment: { header: "COMMENT", value: (entry) => entry.Comment },
    },
  };
}

export const command: Command = {
  usage: "[OPTIONS] IMAGE",
  operands: [1, 1],
  flags: [
    formatFlag,
    {
      name: "human",
      short: "H",
      kind: "bool",
      help: "Print sizes and dates in human readable format",
      default: "true",
    },
    { name: "no-trunc", kind: "bool", help: "Don't truncate output" },
    { name: "quiet", short: "q", kind: "bool", help: "Only show image IDs" },
  ],
  async run({ flags, operands, session }) {
    const entries = await session.json<Entry[]>({ path: `/images/${operands[0]}/history` });
    const human = !flags.has("human") || flags.bool("human");
    const list = listing(!flags.bool("no-trunc"), human);
    await print(formatList(list, entries, flags.bool("quiet") ? "{{.ID}}" : flags.text("format")));
    return 0;
  },
};
