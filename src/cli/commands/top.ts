import { ANY_NUMBER, type Command } from "../command.ts";
import { alignTabs } from "../format/tabs.ts";
import { print } from "../streams/output.ts";

export const command: Command = {
  usage: "CONTAINER [ps OPTIONS]",
  operands: [1, ANY_NUMBER],
  stopAtOperand: true,
  flags: [],
  async run({ operands, session }) {
    const [name, ...options] = operands;
    const query = options.length > 0 ? { ps_args: options.join(" ") } : {};
    const table = await session.json<{ Titles: string[]; Processes: string[][] }>({
      path: `/containers/${name}/top`,
      query,
    });
    const lines = [table.Titles, ...table.Processes].map((cells) => cells.join("\t"));
    await print(`${alignTabs(lines.join("\n"), { minWidth: 20, gap: 3 })}\n`);
    return 0;
  },
};
