import { spawnSync } from "node:child_process";
import { HullError } from "../../../platform/errors.ts";
import { writeText } from "../../../platform/standard-output.ts";
import { pidsOf } from "../../cgroup/control.ts";
import type { CliCommand } from "../context.ts";
import { text } from "../flags.ts";
import { load } from "../state.ts";

export const command: CliCommand = {
  usage: "ps [command options] <container-id> [ps options]",
  about: "displays the processes running inside a container",
  flags: { format: { kind: "text", aliases: ["f"] } },
  arguments: [1, Number.POSITIVE_INFINITY],
  async run(context) {
    const [id, ...given] = context.flags.rest;
    const pids = await pidsOf(load(context.root, id!).cgroup);
    if (text(context.flags, "format") === "json") {
      await writeText("stdout", `${JSON.stringify(pids.sort((a, b) => a - b))}\n`);
      return 0;
    }
    const { stdout, status, stderr, error } = spawnSync("ps", given.length > 0 ? given : ["-ef"], { encoding: "utf8" });
    if (error || status !== 0) throw new HullError("failed-precondition", `ps: ${error?.message ?? stderr.trim()}`);
    const [head = "", ...lines] = stdout.split("\n");
    const column = head.trim().split(/\s+/).indexOf("PID");
    if (column < 0) throw new HullError("invalid-argument", "couldn't find PID field in ps output");
    const own = lines.filter((line) => pids.includes(Number(line.trim().split(/\s+/)[column])));
    await writeText("stdout", [head, ...own].map((line) => `${line}\n`).join(""));
    return 0;
  },
};
