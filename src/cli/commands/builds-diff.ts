import { compareSteps } from "../../buildkit/explain/build-steps.ts";
import { BuildHistory } from "../builds/build-history.ts";
import { nameOf } from "../builds/record-view.ts";
import { differencesText } from "../builds/steps-text.ts";
import type { Command } from "../command.ts";
import { print } from "../streams/output.ts";

export const command: Command = {
  usage: "BUILD [BUILD]",
  operands: [1, 2],
  flags: [],
  async run({ operands: [one = "", other = ""], session }) {
    await using history = await BuildHistory.open(session);
    const [first, second] = await Promise.all([history.find(one), history.find(other)]);
    const differences = await compareSteps({
      first: await history.steps(first),
      second: await history.steps(second),
      partsOf: (step) => history.parts(step),
    });
    await print(`first:  ${first.Ref} ${nameOf(first)}\nsecond: ${second.Ref} ${nameOf(second)}\n`);
    await print(differencesText(differences));
    return 0;
  },
};
