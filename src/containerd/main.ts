/** The role hull-containerd. */

import { messageOf } from "../platform/errors.ts";
import { openLog } from "../platform/log.ts";
import { writeNow } from "../platform/standard-output.ts";
import { TRANSFER_ARGUMENT } from "../registry/transfer/protocol.ts";
import { startDaemon } from "./daemon.ts";
import { parseOptions, usage } from "./options.ts";

/** Serves until SIGTERM or SIGINT; shims and what runs in them stay. Exit code 1: it could not start, 2: wrong flags. */
export async function main(argv: string[]): Promise<number> {
  if (argv[0] === TRANSFER_ARGUMENT) return (await import("../registry/transfer/worker.ts")).serveTransfers();
  let options: ReturnType<typeof parseOptions>;
  try {
    options = parseOptions(argv);
  } catch (error) {
    writeNow("stderr", `hull-containerd: ${messageOf(error)}\nRun 'hull-containerd --help' for its flags.\n`);
    return 2;
  }
  if (options === undefined) {
    writeNow("stdout", usage);
    return 0;
  }
  const log = openLog({ name: "hull-containerd", level: options.logLevel, dataRoot: options.dataRoot });
  const stopped = new Promise<NodeJS.Signals>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, resolve);
  });
  process.on("SIGHUP", () => {});
  try {
    await using _ = await startDaemon(options, log);
    log.info("stopping", { signal: await stopped });
  } catch (error) {
    log.error(messageOf(error));
    return 1;
  }
  return 0;
}
