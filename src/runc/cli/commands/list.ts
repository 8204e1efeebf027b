import { HullError } from "../../../platform/errors.ts";
import { writeText } from "../../../platform/standard-output.ts";
import type { CliCommand, CliContext } from "../context.ts";
import { listEngineContainers } from "../engine-containers.ts";
import { isOn, text } from "../flags.ts";
import { listIds, load, statusOf } from "../state.ts";
import { formatTable } from "../table.ts";

export interface Listed {
  readonly id: string;
  /** 0: stopped. */
  readonly pid: number;
  readonly status: string;
  readonly bundle: string;
  readonly created: string;
  readonly owner: string;
}

async function own({ root, log }: CliContext): Promise<Listed[]> {
  const found: Listed[] = [];
  for (const id of listIds(root)) {
    try {
      const state = load(root, id);
      const status = await statusOf(root, state);
      const { bundle, created, owner } = state;
      found.push({ id, pid: status === "stopped" ? 0 : state.pid, status, bundle, created, owner });
    } catch (error) {
      log.write("error", `load container ${id}: ${error instanceof Error ? error.message : error}`);
    }
  }
  return found;
}

export const command: CliCommand = {
  usage: "list [command options]",
  about: "lists containers started by this runtime with the given root, and the engine's",
  flags: {
    format: { kind: "text", aliases: ["f"] },
    quiet: { kind: "switch", aliases: ["q"] },
    "exec-root": { kind: "text" },
  },
  arguments: [0, 0],
  async run(context) {
    const { flags } = context;
    const listed = [...(await own(context)), ...listEngineContainers(text(flags, "exec-root") ?? "/run/hull")];
    if (isOn(flags, "quiet")) await writeText("stdout", listed.map(({ id }) => `${id}\n`).join(""));
    else if (text(flags, "format") === "json") await writeText("stdout", JSON.stringify(listed));
    else if ((text(flags, "format") ?? "table") === "table") {
      const rows = listed.map(({ id, pid, status, bundle, created, owner }) => [
        id,
        String(pid),
        status,
        bundle,
        created,
        owner,
      ]);
      await writeText("stdout", formatTable(["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"], rows));
    } else throw new HullError("invalid-argument", "invalid format option");
    return 0;
  },
};
