import type { Command } from "../command.ts";
import { encodeFilters, filterFlag, formatFlag } from "../format/filters.ts";
import { formatList, type Listing } from "../format/listing.ts";
import { humanSize } from "../format/units.ts";
import { print } from "../streams/output.ts";

interface Volume {
  readonly Name: string;
  readonly Driver: string;
  readonly Scope: string;
  readonly Mountpoint: string;
  readonly Labels: Readonly<Record<string, string>> | null;
  readonly UsageData?: { readonly Size: number; readonly RefCount: number } | null;
}

const listing: Listing<Volume> = {
  table: "table {{.Driver}}\t{{.Name}}",
  fields: {
    Name: { header: "VOLUME NAME", value: (item) => item.Name },
    Driver: { header: "DRIVER", value: (item) => item.Driver },
    Scope: { header: "SCOPE", value: (item) => item.Scope },
    Mountpoint: { header: "MOUNTPOINT", value: (item) => item.Mountpoint },
    Labels: {
      header: "LABELS",
      value: (item) =>
        Object.entries(item.Labels ?? {})
          .map(([key, value]) => `${key}=${value}`)
          .sort()
          .join(","),
    },
    Label: { header: "LABEL", value: (item, [key]) => item.Labels?.[String(key)] ?? "", hidden: true },
    Links: { header: "LINKS", value: (item) => (item.UsageData ? String(item.UsageData.RefCount) : "N/A") },
    Size: { header: "SIZE", value: (item) => (item.UsageData ? humanSize(item.UsageData.Size) : "N/A") },
    Availability: { header: "AVAILABILITY", value: () => "N/A" },
    Group: { header: "GROUP", value: () => "N/A" },
    Status: { header: "STATUS", value: () => "N/A" },
  },
};

export const command: Command = {
  usage: "[OPTIONS]",
  operands: [0, 0],
  flags: [filterFlag, formatFlag, { name: "quiet", short: "q", kind: "bool", help: "Only display volume names" }],
  async run({ flags, session }) {
    const { Volumes: volumes } = await session.json<{ Volumes: Volume[] | null }>({
      path: "/volumes",
      query: { filters: encodeFilters(flags.list("filter")) },
    });
    const sorted = [...(volumes ?? [])].sort((a, b) => (a.Name < b.Name ? -1 : 1));
    await print(formatList(listing, sorted, flags.bool("quiet") ? "{{.Name}}" : flags.text("format")));
    return 0;
  },
};
