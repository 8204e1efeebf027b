import type { Command } from "../command.ts";
import { formatList, type Listing } from "../format/listing.ts";
import { humanSize } from "../format/units.ts";
import { print } from "../streams/output.ts";

interface CacheEntry {
  readonly ID: string;
  readonly Type: string;
  readonly Description: string;
  readonly InUse: boolean;
  readonly Shared: boolean;
  readonly Size: number;
  readonly LastUsedAt: string | null;
  readonly UsageCount: number;
}

const yes = (value: boolean): string => (value ? "true" : "false");

const listing: Listing<CacheEntry> = {
  table: "table {{.ID}}\t{{.Type}}\t{{.Reclaimable}}\t{{.Size}}\t{{.LastUsed}}\t{{.Description}}",
  fields: {
    ID: { header: "ID", value: (entry) => entry.ID },
    Type: { header: "TYPE", value: (entry) => entry.Type },
    Reclaimable: { header: "RECLAIMABLE", value: (entry) => yes(!entry.InUse) },
    Shared: { header: "SHARED", value: (entry) => yes(entry.Shared) },
    Size: { header: "SIZE", value: (entry) => humanSize(entry.Size) },
    LastUsed: { header: "LAST USED", value: (entry) => entry.LastUsedAt ?? "" },
    UsageCount: { header: "USAGE", value: (entry) => String(entry.UsageCount) },
    Description: { header: "DESCRIPTION", value: (entry) => entry.Description },
  },
};

export const command: Command = {
  usage: "[OPTIONS]",
  operands: [0, 0],
  flags: [
    { name: "format", kind: "string", help: "Format output using a custom template: 'table', 'json' or a Go template" },
  ],
  async run({ flags, session }) {
    const { BuildCache } = await session.json<{ BuildCache: readonly CacheEntry[] | null }>({
      path: "/system/df",
      query: { type: "build-cache" },
    });
    const entries = BuildCache ?? [];
    await print(formatList(listing, entries, flags.text("format")));
    if (flags.has("format")) return 0;
    const total = (list: readonly CacheEntry[]) => humanSize(list.reduce((bytes, { Size }) => bytes + Size, 0));
    await print(`Reclaimable:\t${total(entries.filter(({ InUse }) => !InUse))}\nTotal:\t\t${total(entries)}\n`);
    return 0;
  },
};
