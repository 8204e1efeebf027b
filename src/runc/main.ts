/** `hull-runc`: an OCI runtime's command line, with runc's flags and words. Only the chosen command is loaded. */

import { HullError, messageOf } from "../platform/errors.ts";
import { writeNow, writeText } from "../platform/standard-output.ts";
import { HULL_VERSION as version } from "../platform/version.ts";
import { type CliCommand, type CliLog, openCliLog } from "./cli/context.ts";
import { isOn, type ParsedFlags, parseFlags, text } from "./cli/flags.ts";

type Loader = () => Promise<{ readonly command: CliCommand }>;

const commands: Readonly<Record<string, Loader>> = {
  create: () => import("./cli/commands/create.ts"),
  delete: () => import("./cli/commands/delete.ts"),
  events: () => import("./cli/commands/events.ts"),
  exec: () => import("./cli/commands/exec.ts"),
  features: () => import("./cli/commands/features.ts"),
  kill: () => import("./cli/commands/kill.ts"),
  list: () => import("./cli/commands/list.ts"),
  pause: () => import("./cli/commands/pause.ts"),
  ps: () => import("./cli/commands/ps.ts"),
  resume: () => import("./cli/commands/resume.ts"),
  run: () => import("./cli/commands/run.ts"),
  spec: () => import("./cli/commands/spec.ts"),
  start: () => import("./cli/commands/start.ts"),
  state: () => import("./cli/commands/state.ts"),
  update: () => import("./cli/commands/update.ts"),
};

const globalFlags = {
  root: { kind: "text" },
  log: { kind: "text" },
  "log-format": { kind: "text" },
  debug: { kind: "switch" },
  "systemd-cgroup": { kind: "switch" },
  rootless: { kind: "text" },
  criu: { kind: "text" },
  version: { kind: "switch", aliases: ["v"] },
  help: { kind: "switch", aliases: ["h"] },
} as const;

const DEFAULT_ROOT = "/run/hull-runc";

const usage = `usage: hull-runc [--root DIR] [--log FILE] [--log-format text|json] [--debug] COMMAND [options] [arguments]
commands: ${Object.keys(commands).join(" ")}
`;

function logOf(flags: ParsedFlags): CliLog {
  return openCliLog(text(flags, "log"), text(flags, "log-format") || "text", isOn(flags, "debug"));
}

/** Where runc's callers look: in the log, and on stderr when that is a file. */
function say(log: CliLog, message: string): void {
  log.write("error", message);
  if (log.toFile) writeNow("stderr", `${message}\n`);
}

async function runCommand(name: string, global: ParsedFlags, log: CliLog): Promise<number> {
  const load = commands[name];
  if (!load) throw new HullError("invalid-argument", `No help topic for '${name}'`);
  const { command } = await load();
  const flags = parseFlags({ ...command.flags, help: globalFlags.help }, global.rest.slice(1));
  if (isOn(flags, "help")) {
    await writeText("stdout", `usage: hull-runc ${command.usage}\n${command.about}\n`);
    return 0;
  }
  if (isOn(global, "systemd-cgroup"))
    throw new HullError(
      "unimplemented",
      "systemd cgroup flag passed, but systemd support for managing cgroups is not available",
    );
  const [least, most] = command.arguments;
  const count = flags.rest.length;
  if (count < least || count > most) {
    const wanted =
      least === most ? `exactly ${least}` : count < least ? `a minimum of ${least}` : `a maximum of ${most}`;
    throw new HullError("invalid-argument", `"${name}" requires ${wanted} argument(s)`);
  }
  const root = text(global, "root") || DEFAULT_ROOT;
  return await command.run({ root, flags, log, fail: (message) => say(log, message) });
}

/** Answers the exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  let log = openCliLog(undefined, "text", false);
  let attempt = "";
  try {
    const global = parseFlags(globalFlags, argv);
    log = logOf(global);
    if (isOn(global, "version")) {
      await writeText("stdout", `hull-runc version ${version}\nspec: 1.2.0\n`);
      return 0;
    }
    const [name] = global.rest;
    if (name === undefined || isOn(global, "help")) {
      await writeText("stdout", usage);
      return 0;
    }
    attempt = name === "run" || name === "create" ? `runc ${name} failed: ` : "";
    return await runCommand(name, global, log);
  } catch (error) {
    say(log, `${attempt}${messageOf(error)}`);
    return 1;
  }
}
