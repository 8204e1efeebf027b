import type { Command } from "../command.ts";
import { saveBody } from "../streams/files.ts";

export const command: Command = {
  usage: "[OPTIONS] CONTAINER",
  operands: [1, 1],
  flags: [{ name: "output", short: "o", kind: "string", help: "Write to a file, instead of STDOUT" }],
  async run({ flags, operands, session }) {
    await saveBody(await session.call({ path: `/containers/${operands[0]}/export` }), flags.text("output"));
    return 0;
  },
};
