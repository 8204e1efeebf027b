import type { Command } from "../command.ts";
import { print } from "../streams/output.ts";

const letters = ["C", "A", "D"];

export const command: Command = {
  usage: "CONTAINER",
  operands: [1, 1],
  flags: [],
  async run({ operands, session }) {
    const changes = await session.json<{ Path: string; Kind: number }[] | null>({
      path: `/containers/${operands[0]}/changes`,
    });
    await print((changes ?? []).map((change) => `${letters[change.Kind]} ${change.Path}\n`).join(""));
    return 0;
  },
};
