/** The role hulld: flags, settings, the daemon's life and its signals. */

import { HullError, messageOf } from "../platform/errors.ts";
import { openLog } from "../platform/log.ts";
import { writeNow } from "../platform/standard-output.ts";
import { HULL_VERSION } from "../platform/version.ts";
import { loadConfig } from "./config-merge.ts";
import { type CommandLine, helpText, parseFlags } from "./flags.ts";
import { checkHosts } from "./http/listeners.ts";
import { type Hulld, makeRoots, startHulld } from "./hulld.ts";
import { DOCKER_VERSION } from "./system/docker-version.ts";

const BAD_USAGE = 125;

type RunLine = Extract<CommandLine, { readonly kind: "run" | "validate" }>;

export async function main(argv: string[]): Promise<number> {
  let line: CommandLine;
  try {
    line = parseFlags(argv);
  } catch (error) {
    writeNow("stderr", `${messageOf(error)}\nSee 'hulld --help'.\n`);
    return BAD_USAGE;
  }
  if (line.kind === "help") return say(helpText());
  if (line.kind === "version") return say(`Docker version ${DOCKER_VERSION}, build hull-${HULL_VERSION}\n`);
  try {
    const config = loadConfig(line.given);
    checkHosts(config);
    if (line.kind === "validate") return say("configuration OK\n");
    return await run(line, config);
  } catch (error) {
    writeNow("stderr", `failed to start daemon: ${messageOf(error)}\n`);
    return 1;
  }
}

function say(text: string): number {
  writeNow("stdout", text);
  return 0;
}

async function run(line: RunLine, config: ReturnType<typeof loadConfig>): Promise<number> {
  if (process.geteuid?.() !== 0)
    throw new HullError("permission-denied", "hulld needs to be started with root privileges");
  process.title = "hulld";
  makeRoots(config);
  const log = openLog({ name: "hulld", level: config.logLevel, format: config.logFormat, dataRoot: config.dataRoot });
  const ending = endSignal();
  const hulld = await startHulld(config, log);
  process.on("SIGHUP", () => reload(hulld, line, log));
  const why = await Promise.race([ending.then(() => undefined), hulld.refused]);
  log.info("stopping", why === undefined ? { signal: await ending } : { refused: why });
  await hulld.shutDown();
  if (why !== undefined) throw new HullError("failed-precondition", why);
  return 0;
}

/** The first SIGTERM or SIGINT. A third one ends at once, as dockerd does. */
function endSignal(): Promise<string> {
  let count = 0;
  return new Promise((resolve) => {
    for (const name of ["SIGTERM", "SIGINT"] as const) {
      process.on(name, () => {
        resolve(name);
        if (++count >= 3) process.exit(130);
      });
    }
  });
}

function reload(hulld: Hulld, line: RunLine, log: ReturnType<typeof openLog>): void {
  try {
    hulld.reload(loadConfig(line.given));
    log.info("settings reloaded");
  } catch (error) {
    log.error(`settings not reloaded: ${messageOf(error)}`);
  }
}
