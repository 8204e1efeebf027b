import { HullError } from "../../platform/errors.ts";
import { HULL_VERSION } from "../../platform/version.ts";
import type { Command } from "../command.ts";
import { unescapeTabs } from "../format/listing.ts";
import { API_VERSION, type Session } from "../session.ts";
import { print, printLine } from "../streams/output.ts";
import { compile } from "../template/template.ts";
import type { Value } from "../template/value.ts";

interface ServerVersion {
  readonly Version: string;
  readonly ApiVersion: string;
  readonly MinAPIVersion: string;
  readonly GitCommit: string;
  readonly Os: string;
  readonly Arch: string;
  readonly KernelVersion: string;
  readonly Platform?: { readonly Name: string };
  readonly Components?: readonly {
    readonly Name: string;
    readonly Version: string;
    readonly Details?: Readonly<Record<string, string>> | null;
  }[];
}

export const command: Command = {
  usage: "[OPTIONS]",
  operands: [0, 0],
  flags: [
    {
      name: "format",
      short: "f",
      kind: "string",
      help: "Format output using a custom template: 'json' or a Go template",
    },
    { name: "short", kind: "bool", help: "Only the client's version", hidden: true },
  ],
  async run({ flags, session }) {
    if (flags.bool("short")) {
      await printLine(`Hull version ${HULL_VERSION}`);
      return 0;
    }
    const client = {
      Version: HULL_VERSION,
      ApiVersion: session.apiVersion,
      DefaultAPIVersion: API_VERSION,
      Os: process.platform,
      Arch: process.arch === "x64" ? "amd64" : process.arch,
      Context: session.options.context ?? "default",
    };
    const format = flags.text("format");
    const { server, problem } = await askServer(session);
    if (format !== undefined) {
      const both = { Client: client, Server: server ?? null } as Value;
      await printLine(format === "json" ? JSON.stringify(both) : compile(unescapeTabs(format)).render(both));
    } else {
      await print(
        block("Client: Hull", [
          ["Version", client.Version],
          ["API version", client.ApiVersion],
          ["OS/Arch", `${client.Os}/${client.Arch}`],
          ["Context", client.Context],
        ]),
      );
      if (server) await print(`\n${serverBlock(server)}`);
    }
    if (problem) throw problem;
    return 0;
  },
};

/** The client's part is shown even when nothing answers. */
async function askServer(session: Session): Promise<{ server?: ServerVersion; problem?: HullError }> {
  try {
    return { server: await session.json<ServerVersion>({ path: "/version" }) };
  } catch (error) {
    if (error instanceof HullError) return { problem: error };
    throw error;
  }
}

type Lines = readonly (readonly [string, string])[];

const block = (title: string, lines: Lines): string =>
  `${title}\n${lines.map(([label, value]) => ` ${`${label}:`.padEnd(18)}${value}\n`).join("")}`;

function serverBlock(server: ServerVersion): string {
  const components = server.Components ?? [];
  const engine: Lines = [
    ["  Version", server.Version],
    ["  API version", `${server.ApiVersion} (minimum version ${server.MinAPIVersion})`],
    ["  Git commit", server.GitCommit],
    ["  OS/Arch", `${server.Os}/${server.Arch}`],
  ];
  const others = components
    .filter((component) => component.Name !== "Engine")
    .map((component) => block(` ${component.Name}:`, [["  Version", component.Version]]));
  return `Server: ${server.Platform?.Name ?? ""}\n${block(" Engine:", engine)}${others.join("")}`;
}
