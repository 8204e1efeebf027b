/** Help texts, laid out as docker's. */

import type { Command } from "./command.ts";
import { type CommandEntry, commandTable, groups } from "./command-table.ts";
import type { Flag, FlagKind } from "./flags.ts";
import { alignTabs } from "./format/tabs.ts";

const kindWord: Readonly<Record<FlagKind, string>> = {
  bool: "",
  string: "string",
  int: "int",
  float: "decimal",
  list: "list",
  bytes: "bytes",
  swap: "bytes",
  duration: "duration",
  map: "map",
};

export function commandHelp(program: string, entry: CommandEntry, command: Command): string {
  const shown = entry.aliases.find((alias) => !alias.includes(" ")) ?? entry.path;
  const aliases = [entry.path, ...entry.aliases].map((path) => `${program} ${path}`);
  return [
    `Usage:  ${program} ${shown} ${command.usage}`.trimEnd(),
    "",
    entry.summary,
    ...(aliases.length > 1 ? ["", "Aliases:", `  ${aliases.join(", ")}`] : []),
    ...(command.flags.length > 0 ? ["", "Options:", flagLines(command.flags)] : []),
    "",
  ].join("\n");
}

function flagLines(flags: readonly Flag[]): string {
  const visible = flags.filter((flag) => !flag.hidden).sort((a, b) => (a.name < b.name ? -1 : 1));
  const lefts = visible.map((flag) => {
    const letter = flag.short ? `-${flag.short}, ` : "    ";
    return `  ${letter}--${flag.name} ${flag.value ?? kindWord[flag.kind]}`.trimEnd();
  });
  const width = Math.max(...lefts.map((left) => left.length)) + 3;
  return visible
    .map((flag, i) => {
      const standard = flag.default === undefined ? "" : ` (default ${flag.default})`;
      return lefts[i]!.padEnd(width) + flag.help + standard;
    })
    .join("\n");
}

export function overview(program: string): string {
  const shorts = commandTable.flatMap((entry) => {
    const short = [entry.path, ...entry.aliases].find((path) => !path.includes(" "));
    return short === undefined ? [] : [[short, entry.summary] as const];
  });
  const list = (rows: readonly (readonly [string, string])[]) =>
    alignTabs(
      [...rows]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, summary]) => `  ${name}\t${summary}`)
        .join("\n"),
      { minWidth: 13, gap: 2 },
    );
  return [
    `Usage:  ${program} [OPTIONS] COMMAND`,
    "",
    "A container platform that you can see through",
    "",
    "Commands:",
    list(shorts),
    "",
    "Management Commands:",
    list(Object.entries(groups)),
    "",
    "Global Options:",
    "      --config string      Location of client config files",
    "  -c, --context string     Name of the context to use to connect to the daemon",
    "  -D, --debug              Enable debug mode",
    "  -H, --host string        Daemon socket to connect to",
    "      --tls                Use TLS; implied by --tlsverify",
    "      --tlscacert string   Trust certs signed only by this CA",
    "      --tlscert string     Path to TLS certificate file",
    "      --tlskey string      Path to TLS key file",
    "      --tlsverify          Use TLS and verify the remote",
    "  -v, --version            Print version information and quit",
    "",
    `Run '${program} COMMAND --help' for more information on a command.`,
    "",
  ].join("\n");
}

export function groupHelp(program: string, group: string): string {
  const rows = commandTable
    .filter((entry) => entry.path.startsWith(`${group} `))
    .map((entry) => `  ${entry.path.slice(group.length + 1)}\t${entry.summary}`)
    .sort();
  return [
    `Usage:  ${program} ${group} COMMAND`,
    "",
    groups[group] ?? "",
    "",
    "Commands:",
    alignTabs(rows.join("\n"), { minWidth: 13, gap: 2 }),
    "",
    `Run '${program} ${group} COMMAND --help' for more information on a command.`,
    "",
  ].join("\n");
}
