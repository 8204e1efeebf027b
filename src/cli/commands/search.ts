import { splitTerm } from "../../registry/client/search-term.ts";
import type { Command } from "../command.ts";
import { authHeaders } from "../credentials/credentials.ts";
import { encodeFilters, filterFlag, formatFlag } from "../format/filters.ts";
import { formatList, type Listing } from "../format/listing.ts";
import { print } from "../streams/output.ts";

interface Result {
  readonly name: string;
  readonly description: string;
  readonly star_count: number;
  readonly is_official: boolean;
}

const SHOWN = 45;

const listing = (whole: boolean): Listing<Result> => ({
  table: "table {{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}",
  fields: {
    Name: { header: "NAME", value: ({ name }) => name },
    Description: { header: "DESCRIPTION", value: ({ description }) => shown(description, whole) },
    StarCount: { header: "STARS", value: (row) => String(row.star_count) },
    IsOfficial: { header: "OFFICIAL", value: (row) => (row.is_official ? "[OK]" : "") },
  },
});

function shown(text: string, whole: boolean): string {
  const line = text.replaceAll(/[\n\r]/g, " ");
  return whole || line.length <= SHOWN ? line : `${line.slice(0, SHOWN - 1)}…`;
}

export const command: Command = {
  usage: "[OPTIONS] TERM",
  operands: [1, 1],
  flags: [
    filterFlag,
    formatFlag,
    { name: "limit", kind: "string", help: "Max number of search results" },
    { name: "no-trunc", kind: "bool", help: "Don't truncate output" },
  ],
  async run({ flags, operands, session }) {
    const [term = ""] = operands;
    const rows = await session.json<Result[]>({
      path: "/images/search",
      query: { term, limit: flags.text("limit"), filters: encodeFilters(flags.list("filter")) },
      headers: authHeaders(session.options.configDir, splitTerm(term).registry),
    });
    await print(formatList(listing(flags.bool("no-trunc")), rows, flags.text("format")));
    return 0;
  },
};
