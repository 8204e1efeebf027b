import type { Command } from "../command.ts";
import { type DetailedUsage, verboseUsage } from "../format/disk-usage.ts";
import { formatList, type Listing } from "../format/listing.ts";
import { humanSize } from "../format/units.ts";
import { print } from "../streams/output.ts";

interface Usage {
  readonly LayersSize?: number;
  readonly Images?:
    | readonly { readonly Size: number; readonly SharedSize: number; readonly Containers: number }[]
    | null;
  readonly Containers?: readonly { readonly SizeRw?: number; readonly State: string }[] | null;
  readonly Volumes?:
    | readonly {
        readonly Name: string;
        readonly UsageData?: { readonly Size: number; readonly RefCount: number } | null;
      }[]
    | null;
  readonly BuildCache?: readonly { readonly Size: number; readonly InUse: boolean; readonly Shared: boolean }[] | null;
}

interface Line {
  readonly type: string;
  readonly total: number;
  readonly active: number;
  readonly size: number;
  readonly reclaimable: number;
}

const listing: Listing<Line> = {
  table: "table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}",
  fields: {
    Type: { header: "TYPE", value: (line) => line.type },
    TotalCount: { header: "TOTAL", value: (line) => String(line.total) },
    Active: { header: "ACTIVE", value: (line) => String(line.active) },
    Size: { header: "SIZE", value: (line) => humanSize(line.size) },
    Reclaimable: {
      header: "RECLAIMABLE",
      value: (line) => {
        const share =
          line.size > 0 && line.type !== "Build Cache" ? ` (${Math.trunc((line.reclaimable * 100) / line.size)}%)` : "";
        return `${humanSize(line.reclaimable)}${share}`;
      },
    },
  },
};

const sum = (numbers: readonly number[]): number => numbers.reduce((total, value) => total + value, 0);

function summarize(usage: Usage): Line[] {
  const images = usage.Images ?? [];
  const containers = usage.Containers ?? [];
  const volumes = usage.Volumes ?? [];
  const caches = usage.BuildCache ?? [];
  const used = images.filter((image) => image.Containers > 0);
  const layers = usage.LayersSize ?? 0;
  const live = containers.filter((container) => ["running", "paused", "restarting"].includes(container.State));
  const size = (list: typeof containers) => sum(list.map((container) => container.SizeRw ?? 0));
  const volumeSize = (list: typeof volumes) => sum(list.map((volume) => Math.max(0, volume.UsageData?.Size ?? 0)));
  const held = volumes.filter((volume) => (volume.UsageData?.RefCount ?? 0) > 0);
  const freeCache = caches.filter((cache) => !cache.InUse && !cache.Shared);
  return [
    {
      type: "Images",
      total: images.length,
      active: used.length,
      size: layers,
      reclaimable: Math.max(0, layers - sum(used.map((image) => image.Size - Math.max(0, image.SharedSize)))),
    },
    {
      type: "Containers",
      total: containers.length,
      active: live.length,
      size: size(containers),
      reclaimable: size(containers) - size(live),
    },
    {
      type: "Local Volumes",
      total: volumes.length,
      active: held.length,
      size: volumeSize(volumes),
      reclaimable: volumeSize(volumes) - volumeSize(held),
    },
    {
      type: "Build Cache",
      total: caches.length,
      active: caches.length - freeCache.length,
      size: sum(caches.map((cache) => cache.Size)),
      reclaimable: sum(freeCache.map((cache) => cache.Size)),
    },
  ];
}

export const command: Command = {
  usage: "[OPTIONS]",
  operands: [0, 0],
  flags: [
    { name: "format", kind: "string", help: "Format output using a custom template: 'table', 'json' or a Go template" },
    { name: "verbose", short: "v", kind: "bool", help: "Show detailed information on space usage" },
  ],
  async run({ flags, session }) {
    const usage = await session.json<Usage & DetailedUsage>({ path: "/system/df" });
    if (flags.bool("verbose")) await print(verboseUsage(usage));
    else await print(formatList(listing, summarize(usage), flags.text("format")));
    return 0;
  },
};
