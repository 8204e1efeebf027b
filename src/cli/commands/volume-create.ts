import type { Command } from "../command.ts";
import { pairsOf } from "../container-options/csv.ts";
import { parseLabels } from "../container-options/environment.ts";
import { printLine } from "../streams/output.ts";

export const command: Command = {
  usage: "[OPTIONS] [VOLUME]",
  operands: [0, 1],
  flags: [
    { name: "driver", short: "d", kind: "string", help: "Specify volume driver name", default: '"local"' },
    { name: "label", kind: "list", help: "Set metadata for a volume" },
    { name: "name", kind: "string", help: "Specify volume name", hidden: true },
    { name: "opt", short: "o", kind: "map", help: "Set driver specific options", value: "map" },
  ],
  async run({ flags, operands, session }) {
    const body = {
      Name: operands[0] ?? flags.text("name") ?? "",
      Driver: flags.text("driver") ?? "local",
      DriverOpts: pairsOf(flags.list("opt")),
      Labels: parseLabels(flags.list("label"), []),
    };
    const { Name: name } = await session.json<{ Name: string }>({ method: "POST", path: "/volumes/create", body });
    await printLine(name);
    return 0;
  },
};
