import { PlainDisplay } from "../build/progress/plain.ts";
import { RawJsonDisplay } from "../build/progress/raw-json.ts";
import { BuildHistory } from "../builds/build-history.ts";
import type { Command } from "../command.ts";
import { write } from "../streams/output.ts";

export const command: Command = {
  usage: "[OPTIONS] [BUILD]",
  operands: [0, 1],
  flags: [
    {
      name: "progress",
      kind: "string",
      help: 'Set type of progress output ("plain", "rawjson")',
      default: '"plain"',
      check: (value) => (["plain", "rawjson"].includes(value) ? undefined : `invalid progress mode: ${value}`),
    },
  ],
  async run({ flags, operands: [name = ""], session }) {
    await using history = await BuildHistory.open(session);
    const { Ref } = await history.find(name);
    const say = (text: string) => write("stdout", text);
    const display = flags.text("progress") === "rawjson" ? new RawJsonDisplay(say) : new PlainDisplay(say);
    for await (const status of history.status(Ref)) await display.take(status);
    await display.end();
    return 0;
  },
};
