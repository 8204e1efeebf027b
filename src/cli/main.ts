/** The `hull` command: finds the command, parses its flags, runs it, turns errors into docker's texts and exit codes. */
import { builtins } from "../platform/builtins.ts";
import { HullError, messageOf } from "../platform/errors.ts";
import type { TlsFiles } from "../platform/http-client.ts";
import { writeText } from "../platform/standard-output.ts";
import type { Command } from "./command.ts";
import { type CommandEntry, commandTable, groups } from "./command-table.ts";
import { defaultConfigDir, type GlobalOptions } from "./engine-address.ts";
import { ExitError } from "./exit-error.ts";
import { type Flag, type FlagValues, parseFlags } from "./flags.ts";
import { Session } from "./session.ts";

const globalFlags: readonly Flag[] = [
  { name: "config", kind: "string", help: "" },
  { name: "context", short: "c", kind: "string", help: "" },
  { name: "debug", short: "D", kind: "bool", help: "" },
  { name: "host", short: "H", kind: "list", help: "" },
  { name: "log-level", short: "l", kind: "string", help: "" },
  { name: "tls", kind: "bool", help: "" },
  { name: "tlscacert", kind: "string", help: "" },
  { name: "tlscert", kind: "string", help: "" },
  { name: "tlskey", kind: "string", help: "" },
  { name: "tlsverify", kind: "bool", help: "" },
  { name: "version", short: "v", kind: "bool", help: "" },
];

export async function main(argv: string[]): Promise<number> {
  const program = process.argv0.endsWith("docker") ? "docker" : "hull";
  try {
    const { flags, operands, help } = parseFlags(argv, globalFlags, { stopAtOperand: true });
    if (flags.bool("version")) return await runEntry(program, find(["version"])!.entry, { flags, rest: ["--short"] });
    if (operands.length === 0 || help) return await showOverview(program);
    if (operands[0] === "help") return await main([...operands.slice(1), "--help"]);
    const found = find(operands);
    if (!found) return await unknown(program, operands);
    return await runEntry(program, found.entry, { flags, rest: operands.slice(found.length) });
  } catch (error) {
    return await report(error);
  }
}

function find(operands: readonly string[]): { entry: CommandEntry; length: number } | undefined {
  for (const length of [2, 1]) {
    const path = operands.slice(0, length).join(" ");
    const entry = commandTable.find((candidate) => candidate.path === path || candidate.aliases.includes(path));
    if (entry && operands.length >= length) return { entry, length };
  }
  return undefined;
}

async function showOverview(program: string): Promise<number> {
  const { overview } = await import("./help.ts");
  await writeText("stdout", overview(program));
  return 0;
}

async function unknown(program: string, operands: readonly string[]): Promise<number> {
  const [first = "", second] = operands;
  if (groups[first] !== undefined && (second === undefined || second === "--help" || second === "-h")) {
    const { groupHelp } = await import("./help.ts");
    await writeText("stdout", groupHelp(program, first));
    return 0;
  }
  const name = groups[first] === undefined ? first : `${first} ${second}`;
  await writeText(
    "stderr",
    `${program}: unknown command: ${program} ${name}\n\nRun '${program} --help' for more information\n`,
  );
  return 1;
}

interface Given {
  readonly flags: FlagValues;
  readonly rest: readonly string[];
}

async function runEntry(program: string, entry: CommandEntry, given: Given): Promise<number> {
  const { command } = await entry.load();
  const name = entry.aliases.find((alias) => !alias.includes(" ")) ?? entry.path;
  const parsed = parseArguments(program, { name, command, rest: given.rest });
  if (parsed.help) {
    const { commandHelp } = await import("./help.ts");
    await writeText("stdout", commandHelp(program, entry, command));
    return 0;
  }
  const session = new Session(globalOptions(given.flags), `hull ${name}`);
  let failure = "";
  try {
    return await command.run({ ...parsed, session });
  } catch (error) {
    failure = messageOf(error);
    throw error;
  } finally {
    await session.close(failure);
  }
}

interface ToParse {
  readonly name: string;
  readonly command: Command;
  readonly rest: readonly string[];
}

/** Throws an ExitError with docker's usage text; its code is 125 for run, create and exec as docker has it. */
function parseArguments(program: string, { name, command, rest }: ToParse) {
  const usageCode = 125;
  const hint = `\n\nUsage:  ${program} ${name} ${command.usage}\n\nRun '${program} ${name} --help' for more information`;
  try {
    const parsed = parseFlags(rest, command.flags, { stopAtOperand: command.stopAtOperand ?? false });
    const [least, most] = command.operands;
    const count = parsed.operands.length;
    if (!parsed.help && (count < least || count > most)) {
      const rule = `${program}: '${program} ${name}' ${countRule(least, most)}${hint}`;
      // docker says "See" in this one case.
      throw new ExitError(
        1,
        most === Number.POSITIVE_INFINITY
          ? rule.replace(/\n\nRun (?='[^']*' for more information$)/, "\n\nSee ")
          : rule,
      );
    }
    return parsed;
  } catch (error) {
    if (!(error instanceof HullError)) throw error;
    throw new ExitError(usageCode, `${error.message}${hint}`);
  }
}

function countRule(least: number, most: number): string {
  const plural = (count: number) => (count === 1 ? "1 argument" : `${count} arguments`);
  if (most === 0) return "accepts no arguments";
  if (least === most) return `requires ${plural(least)}`;
  if (most === Number.POSITIVE_INFINITY) return `requires at least ${plural(least)}`;
  return `requires at least ${least} and at most ${plural(most)}`;
}

function globalOptions(flags: FlagValues): GlobalOptions {
  const hosts = flags.list("host");
  if (hosts.length > 1) throw new HullError("invalid-argument", "specify only one -H");
  return {
    host: hosts[0],
    context: flags.text("context"),
    configDir: flags.text("config") ?? defaultConfigDir(),
    tls: tlsFiles(flags),
  };
}

function tlsFiles(flags: FlagValues): TlsFiles | undefined {
  const verify = flags.bool("tlsverify") || (process.env.DOCKER_TLS_VERIFY ?? "") !== "";
  if (!verify && !flags.bool("tls")) return undefined;
  const directory = process.env.DOCKER_CERT_PATH ?? defaultConfigDir();
  const read = (flag: string, file: string) =>
    builtins.fs.readFileSync(flags.text(flag) ?? `${directory}/${file}`, "utf8");
  return { ca: read("tlscacert", "ca.pem"), cert: read("tlscert", "cert.pem"), key: read("tlskey", "key.pem"), verify };
}

async function report(error: unknown): Promise<number> {
  const message = messageOf(error);
  if (message !== "") await writeText("stderr", `${message}\n`);
  return error instanceof ExitError ? error.exitCode : 1;
}
