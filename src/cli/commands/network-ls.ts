import type { Command } from "../command.ts";
import { encodeFilters, filterFlag, formatFlag } from "../format/filters.ts";
import { formatList, type Listing } from "../format/listing.ts";
import { print } from "../streams/output.ts";

interface Network {
  readonly Id: string;
  readonly Name: string;
  readonly Created: string;
  readonly Driver: string;
  readonly Scope: string;
  readonly EnableIPv4?: boolean;
  readonly EnableIPv6: boolean;
  readonly Internal: boolean;
  readonly Labels: Readonly<Record<string, string>> | null;
}

const listing = (truncate: boolean): Listing<Network> => ({
  table: "table {{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
  fields: {
    ID: { header: "NETWORK ID", value: (item) => (truncate ? item.Id.slice(0, 12) : item.Id) },
    Name: { header: "NAME", value: (item) => item.Name },
    Driver: { header: "DRIVER", value: (item) => item.Driver },
    Scope: { header: "SCOPE", value: (item) => item.Scope },
    IPv4: { header: "IPV4", value: (item) => String(item.EnableIPv4 ?? true) },
    IPv6: { header: "IPV6", value: (item) => String(item.EnableIPv6) },
    Internal: { header: "INTERNAL", value: (item) => String(item.Internal) },
    CreatedAt: { header: "CREATED AT", value: (item) => item.Created },
    Labels: {
      header: "LABELS",
      value: (item) =>
        Object.entries(item.Labels ?? {})
          .map(([key, value]) => `${key}=${value}`)
          .sort()
          .join(","),
    },
    Label: { header: "LABEL", value: (item, [key]) => item.Labels?.[String(key)] ?? "", hidden: true },
  },
});

export const command: Command = {
  usage: "[OPTIONS]",
  operands: [0, 0],
  flags: [
    filterFlag,
    formatFlag,
    { name: "no-trunc", kind: "bool", help: "Do not truncate the output" },
    { name: "quiet", short: "q", kind: "bool", help: "Only display network IDs" },
  ],
  async run({ flags, session }) {
    const items = await session.json<Network[]>({
      path: "/networks",
      query: { filters: encodeFilters(flags.list("filter")) },
    });
    const sorted = [...items].sort((a, b) => (a.Name < b.Name ? -1 : 1));
    const format = flags.bool("quiet") ? "{{.ID}}" : flags.text("format");
    await print(formatList(listing(!flags.bool("no-trunc")), sorted, format));
    return 0;
  },
};
