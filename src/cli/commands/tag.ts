import type { Command } from "../command.ts";
import { splitReference } from "../pull-image.ts";

export const command: Command = {
  usage: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
  operands: [2, 2],
  flags: [],
  async run({ operands, session }) {
    const [source = "", target = ""] = operands;
    const { fromImage: repo, tag } = splitReference(target);
    await session.call({ method: "POST", path: `/images/${source}/tag`, query: { repo, tag } });
    return 0;
  },
};
