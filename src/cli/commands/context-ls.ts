import type { Command } from "../command.ts";
import { listContexts, type StoredContext } from "../contexts.ts";
import { formatFlag } from "../format/filters.ts";
import { formatList, type Listing } from "../format/listing.ts";
import { print } from "../streams/output.ts";

const listing: Listing<StoredContext> = {
  table: "table {{.Name}}{{if .Current}} *{{end}}\t{{.Description}}\t{{.DockerEndpoint}}\t{{.Error}}",
  fields: {
    Name: { header: "NAME", value: (context) => context.name },
    Description: { header: "DESCRIPTION", value: (context) => context.description },
    DockerEndpoint: { header: "DOCKER ENDPOINT", value: (context) => context.host },
    Current: { header: "", value: (context) => context.current },
    Error: { header: "ERROR", value: () => "" },
  },
};

export const command: Command = {
  usage: "[OPTIONS]",
  operands: [0, 0],
  flags: [formatFlag, { name: "quiet", short: "q", kind: "bool", help: "Only show context names" }],
  async run({ flags, session }) {
    const format = flags.bool("quiet") ? "{{.Name}}" : flags.text("format");
    await print(formatList(listing, listContexts(session.options), format));
    return 0;
  },
};
