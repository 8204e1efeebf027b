import type { Command } from "../command.ts";
import { encodeFilters, filterFlag, formatFlag } from "../format/filters.ts";
import { formatList, type Listing } from "../format/listing.ts";
import { formatLocal } from "../format/timestamps.ts";
import { humanDuration, humanSize } from "../format/units.ts";
import { print } from "../streams/output.ts";

interface Summary {
  readonly Id: string;
  readonly RepoTags: readonly string[] | null;
  readonly RepoDigests: readonly string[] | null;
  readonly Created: number;
  readonly Size: number;
  readonly SharedSize: number;
  readonly Containers: number;
}

interface Line {
  readonly image: Summary;
  readonly repository: string;
  readonly tag: string;
  readonly digest: string;
}

function listing(truncate: boolean): Listing<Line> {
  return {
    table: "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}",
    fields: {
      ID: {
        header: "IMAGE ID",
        value: ({ image }) => (truncate ? image.Id.replace(/^sha256:/, "").slice(0, 12) : image.Id),
      },
      Repository: { header: "REPOSITORY", value: (line) => line.repository },
      Tag: { header: "TAG", value: (line) => line.tag },
      Digest: { header: "DIGEST", value: (line) => line.digest },
      CreatedSince: {
        header: "CREATED",
        value: ({ image }) => `${humanDuration(Date.now() / 1000 - image.Created)} ago`,
      },
      CreatedAt: { header: "CREATED AT", value: ({ image }) => formatLocal(new Date(image.Created * 1000)) },
      Size: { header: "SIZE", value: ({ image }) => humanSize(image.Size, 3) },
      VirtualSize: { header: "SIZE", value: ({ image }) => humanSize(image.Size, 3) },
      SharedSize: {
        header: "SHARED SIZE",
        value: ({ image }) => (image.SharedSize < 0 ? "N/A" : humanSize(image.SharedSize, 3)),
      },
      UniqueSize: {
        header: "UNIQUE SIZE",
        value: ({ image }) => (image.SharedSize < 0 ? "N/A" : humanSize(image.Size - image.SharedSize, 3)),
      },
      Containers: {
        header: "CONTAINERS",
        value: () => "N/A",
      },
    },
  };
}

/** One line per tag; one per digest where there is no tag (or digests are asked for); else `<none>`. */
function linesOf(image: Summary, digests: boolean): Line[] {
  const tags = (image.RepoTags ?? []).filter((name) => name !== "<none>:<none>");
  const digestOf = new Map((image.RepoDigests ?? []).map((name) => name.split("@") as [string, string]));
  if (tags.length > 0) {
    return tags.map((name) => {
      const colon = name.lastIndexOf(":");
      const repository = name.slice(0, colon);
      return { image, repository, tag: name.slice(colon + 1), digest: digestOf.get(repository) ?? "<none>" };
    });
  }
  if (digestOf.size > 0) {
    return [...digestOf].map(([repository, digest]) => ({
      image,
      repository,
      tag: "<none>",
      digest: digests ? digest : "<none>",
    }));
  }
  return [{ image, repository: "<none>", tag: "<none>", digest: "<none>" }];
}

export const command: Command = {
  usage: "[OPTIONS] [REPOSITORY[:TAG]]",
  operands: [0, 1],
  flags: [
    { name: "all", short: "a", kind: "bool", help: "Show all images (default hides intermediate images)" },
    { name: "digests", kind: "bool", help: "Show digests" },
    filterFlag,
    formatFlag,
    { name: "no-trunc", kind: "bool", help: "Don't truncate output" },
    { name: "quiet", short: "q", kind: "bool", help: "Only show image IDs" },
    { name: "tree", kind: "bool", help: "List multi-platform images as a tree", hidden: true },
  ],
  async run({ flags, operands, session }) {
    const filters = [...flags.list("filter"), ...operands.map((reference) => `reference=${reference}`)];
    const images = await session.json<Summary[]>({
      path: "/images/json",
      query: { all: flags.bool("all") || undefined, filters: encodeFilters(filters) },
    });
    const digests = flags.bool("digests");
    const lines = images.flatMap((image) => linesOf(image, digests));
    const list = listing(!flags.bool("no-trunc"));
    const table = digests ? list.table.replace("{{.Tag}}", "{{.Tag}}\t{{.Digest}}") : list.table;
    await print(formatList({ ...list, table }, lines, flags.bool("quiet") ? "{{.ID}}" : flags.text("format")));
    return 0;
  },
};
