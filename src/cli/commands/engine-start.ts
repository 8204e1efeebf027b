import { ANY_NUMBER, type Command } from "../command.ts";
import { engineFlags, enginePlace, isAnswering, startEngine } from "../engine.ts";
import { printLine } from "../streams/output.ts";

export const command: Command = {
  usage: "[OPTIONS] [-- HULLD_OPTIONS...]",
  operands: [0, ANY_NUMBER],
  flags: engineFlags,
  async run({ flags, operands, session }) {
    const place = enginePlace(flags, session.options.host);
    if (await isAnswering(place.host)) {
      await printLine(`the engine already answers on ${place.host}`);
      return 0;
    }
    await startEngine(place, operands);
    await printLine(`the engine answers on ${place.host}`);
    return 0;
  },
};
