import { ANY_NUMBER, type Command } from "../command.ts";
import { saveBody } from "../streams/files.ts";

export const command: Command = {
  usage: "[OPTIONS] IMAGE [IMAGE...]",
  operands: [1, ANY_NUMBER],
  flags: [
    { name: "output", short: "o", kind: "string", help: "Write to a file, instead of STDOUT" },
    { name: "platform", kind: "list", help: 'Save only the given platform(s). Formatted as "os[/arch[/variant]]"' },
  ],
  async run({ flags, operands, session }) {
    await saveBody(await session.call({ path: "/images/get", query: { names: operands } }), flags.text("output"));
    return 0;
  },
};
