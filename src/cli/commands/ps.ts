import type { Command } from "../command.ts";
import { encodeFilters, filterFlag, formatFlag } from "../format/filters.ts";
import { formatList, type Listing } from "../format/listing.ts";
import { formatPorts, type Port } from "../format/ports.ts";
import { formatLocal } from "../format/timestamps.ts";
import { humanDuration, humanSize } from "../format/units.ts";
import { print } from "../streams/output.ts";

interface Summary {
  readonly Id: string;
  readonly Names: readonly string[];
  readonly Image: string;
  readonly ImageID: string;
  readonly Command: string;
  readonly Created: number;
  readonly State: string;
  readonly Status: string;
  readonly Ports: readonly Port[];
  readonly Labels: Readonly<Record<string, string>> | null;
  readonly SizeRw?: number;
  readonly SizeRootFs?: number;
  readonly Mounts?: readonly {
    readonly Name?: string;
    readonly Source?: string;
    readonly Type?: string;
    readonly Driver?: string;
  }[];
  readonly NetworkSettings?: { readonly Networks?: Readonly<Record<string, unknown>> | null };
}

const ago = (created: number): string => `${humanDuration(Date.now() / 1000 - created)} ago`;

const labelsOf = (labels: Summary["Labels"]): string =>
  Object.entries(labels ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(",");

const shorten = (text: string, length: number): string =>
  text.length > length ? `${text.slice(0, length - 1)}…` : text;

function sizeOf(item: Summary): string {
  const own = humanSize(item.SizeRw ?? 0, 3);
  return (item.SizeRootFs ?? 0) > 0 ? `${own} (virtual ${humanSize(item.SizeRootFs!, 3)})` : own;
}

function imageOf(item: Summary, truncate: boolean): string {
  if (item.Image === "") return "<no image>";
  if (truncate && item.Image === item.ImageID) return item.Image.replace(/^sha256:/, "").slice(0, 12);
  return item.Image;
}

function listing(truncate: boolean): Listing<Summary> {
  const names = (item: Summary) =>
    item.Names.map((name) => name.replace(/^\//, "")).filter((name) => !truncate || !name.includes("/"));
  const mounts = (item: Summary) =>
    (item.Mounts ?? []).map((mount) => shorten(mount.Name || mount.Source || "", truncate ? 15 : 4096));
  return {
    table: "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}",
    fields: {
      ID: { header: "CONTAINER ID", value: (item) => (truncate ? item.Id.slice(0, 12) : item.Id) },
      Names: { header: "NAMES", value: (item) => names(item).join(",") },
      Image: { header: "IMAGE", value: (item) => imageOf(item, truncate) },
      Command: { header: "COMMAND", value: (item) => JSON.stringify(shorten(item.Command, truncate ? 20 : 1e6)) },
      CreatedAt: { header: "CREATED AT", value: (item) => formatLocal(new Date(item.Created * 1000)) },
      RunningFor: { header: "CREATED", value: (item) => ago(item.Created) },
      Ports: { header: "PORTS", value: (item) => formatPorts(item.Ports) },
      State: { header: "STATE", value: (item) => item.State },
      Status: { header: "STATUS", value: (item) => item.Status },
      Size: { header: "SIZE", value: sizeOf },
      Labels: { header: "LABELS", value: (item) => labelsOf(item.Labels) },
      Label: { header: "LABEL", value: (item, [key]) => item.Labels?.[String(key)] ?? "", hidden: true },
      Mounts: { header: "MOUNTS", value: (item) => mounts(item).join(",") },
      LocalVolumes: {
        header: "LOCAL VOLUMES",
        value: (item) => String((item.Mounts ?? []).filter((mount) => mount.Driver === "local").length),
      },
      Networks: { header: "NETWORKS", value: (item) => Object.keys(item.NetworkSettings?.Networks ?? {}).join(",") },
      // Only where an image has several.
      Platform: { header: "PLATFORM", value: () => null },
    },
  };
}

export const command: Command = {
  usage: "[OPTIONS]",
  operands: [0, 0],
  flags: [
    { name: "all", short: "a", kind: "bool", help: "Show all containers (default shows just running)" },
    filterFlag,
    formatFlag,
    {
      name: "last",
      short: "n",
      kind: "int",
      help: "Show n last created containers (includes all states)",
      default: "-1",
    },
    { name: "latest", short: "l", kind: "bool", help: "Show the latest created container (includes all states)" },
    { name: "no-trunc", kind: "bool", help: "Don't truncate output" },
    { name: "quiet", short: "q", kind: "bool", help: "Only display container IDs" },
    { name: "size", short: "s", kind: "bool", help: "Display total file sizes" },
  ],
  async run({ flags, session }) {
    const format = flags.text("format");
    const size = flags.bool("size") || /\.Size\b/.test(format ?? "");
    const limit = flags.bool("latest") ? 1 : (flags.number("last") ?? -1);
    const items = await session.json<Summary[]>({
      path: "/containers/json",
      query: {
        all: flags.bool("all") || undefined,
        limit: limit > 0 ? limit : undefined,
        size: size || undefined,
        filters: encodeFilters(flags.list("filter")),
      },
    });
    const list = listing(!flags.bool("no-trunc"));
    const table = flags.bool("size") ? `${list.table}\t{{.Size}}` : list.table;
    await print(formatList({ ...list, table }, items, flags.bool("quiet") ? "{{.ID}}" : format));
    return 0;
  },
};
