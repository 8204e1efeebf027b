/** `system df -v`: four tables of what holds how much of the disk. */
import { formatList, type Listing } from "./listing.ts";
import { humanDuration, humanSize } from "./units.ts";

interface ImageUsage {
  readonly Id: string;
  readonly Created: number;
  readonly RepoTags?: readonly string[] | null;
  readonly Size: number;
  readonly SharedSize: number;
  readonly Containers: number;
}

interface ContainerUsage {
  readonly Id: string;
  readonly Image: string;
  readonly Command: string;
  readonly Created: number;
  readonly Status: string;
  readonly Names: readonly string[];
  readonly SizeRw?: number;
  readonly Mounts?: readonly { readonly Type?: string; readonly Driver?: string }[];
}

interface VolumeUsage {
  readonly Name: string;
  readonly UsageData?: { readonly Size: number; readonly RefCount: number } | null;
}

interface CacheUsage {
  readonly ID?: string;
  readonly Type?: string;
  readonly Size: number;
  readonly UsageCount?: number;
  readonly Shared: boolean;
}

export interface DetailedUsage {
  readonly Images?: readonly ImageUsage[] | null;
  readonly Containers?: readonly ContainerUsage[] | null;
  readonly Volumes?: readonly VolumeUsage[] | null;
  readonly BuildCache?: readonly CacheUsage[] | null;
}

const ago = (created: number): string => `${humanDuration(Date.now() / 1000 - created)} ago`;
const shortId = (id: string): string => id.replace(/^sha256:/, "").slice(0, 12);
const shorten = (text: string, length: number): string =>
  text.length > length ? `${text.slice(0, length - 1)}…` : text;

type TaggedImage = ImageUsage & { readonly repository: string; readonly tag: string };

/** As docker, under its first name. */
function tagged(image: ImageUsage): TaggedImage {
  const name = image.RepoTags?.[0] ?? "<none>:<none>";
  const colon = name.lastIndexOf(":");
  return { ...image, repository: name.slice(0, colon), tag: name.slice(colon + 1) };
}

const images: Listing<TaggedImage> = {
  table:
    "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}",
  fields: {
    Repository: { header: "REPOSITORY", value: ({ repository }) => repository },
    Tag: { header: "TAG", value: ({ tag }) => tag },
    ID: { header: "IMAGE ID", value: ({ Id }) => shortId(Id) },
    CreatedSince: { header: "CREATED", value: ({ Created }) => ago(Created) },
    Size: { header: "SIZE", value: ({ Size }) => humanSize(Size, 3) },
    SharedSize: { header: "SHARED SIZE", value: ({ SharedSize }) => sizeOr(SharedSize, humanSize(SharedSize)) },
    UniqueSize: {
      header: "UNIQUE SIZE",
      value: ({ Size, SharedSize }) => sizeOr(SharedSize, humanSize(Size - SharedSize)),
    },
    Containers: { header: "CONTAINERS", value: ({ Containers }) => (Containers < 0 ? "N/A" : String(Containers)) },
  },
};

const sizeOr = (shared: number, text: string): string => (shared < 0 ? "N/A" : text);

const containers: Listing<ContainerUsage> = {
  table:
    "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}",
  fields: {
    ID: { header: "CONTAINER ID", value: ({ Id }) => shortId(Id) },
    Image: { header: "IMAGE", value: ({ Image }) => Image },
    Command: { header: "COMMAND", value: ({ Command }) => JSON.stringify(shorten(Command, 20)) },
    LocalVolumes: {
      header: "LOCAL VOLUMES",
      value: ({ Mounts }) => String((Mounts ?? []).filter(({ Driver }) => Driver === "local").length),
    },
    Size: { header: "SIZE", value: ({ SizeRw }) => humanSize(SizeRw ?? 0, 3) },
    RunningFor: { header: "CREATED", value: ({ Created }) => ago(Created) },
    Status: { header: "STATUS", value: ({ Status }) => Status },
    Names: { header: "NAMES", value: ({ Names }) => Names.map((name) => name.replace(/^\//, "")).join(",") },
  },
};

const volumes: Listing<VolumeUsage> = {
  table: "table {{.Name}}\t{{.Links}}\t{{.Size}}",
  fields: {
    Name: { header: "VOLUME NAME", value: ({ Name }) => Name },
    Links: { header: "LINKS", value: ({ UsageData }) => (UsageData ? String(UsageData.RefCount) : "N/A") },
    Size: { header: "SIZE", value: ({ UsageData }) => (UsageData ? humanSize(UsageData.Size) : "N/A") },
  },
};

const caches: Listing<CacheUsage> = {
  table:
    "table {{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.CreatedSince}}\t{{.LastUsedSince}}\t{{.UsageCount}}\t{{.Shared}}",
  fields: {
    ID: { header: "CACHE ID", value: ({ ID }) => ID ?? "" },
    CacheType: { header: "CACHE TYPE", value: ({ Type }) => Type ?? "" },
    Size: { header: "SIZE", value: ({ Size }) => humanSize(Size, 3) },
    CreatedSince: { header: "CREATED", value: () => "" },
    LastUsedSince: { header: "LAST USED", value: () => "" },
    UsageCount: { header: "USAGE", value: ({ UsageCount }) => String(UsageCount ?? 0) },
    Shared: { header: "SHARED", value: ({ Shared }) => Shared },
  },
};

export function verboseUsage(usage: DetailedUsage): string {
  const cacheBytes = (usage.BuildCache ?? []).reduce((total, { Size, Shared }) => total + (Shared ? 0 : Size), 0);
  return [
    `Images space usage:\n\n${formatList(images, (usage.Images ?? []).map(tagged), undefined)}`,
    `Containers space usage:\n\n${formatList(containers, usage.Containers ?? [], undefined)}`,
    `Local Volumes space usage:\n\n${formatList(volumes, usage.Volumes ?? [], undefined)}`,
    `Build cache usage: ${humanSize(cacheBytes)}\n\n${formatList(caches, usage.BuildCache ?? [], undefined)}`,
  ].join("\n");
}
