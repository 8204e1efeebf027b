import { buildFlags } from "../build-options.ts";
import type { Command } from "../command.ts";
import { parseBool } from "../flags.ts";

/** BuildKit's protocol, but where DOCKER_BUILDKIT=0 asks for the classic one, as docker has it. */
export const command: Command = {
  usage: "[OPTIONS] PATH | URL | -",
  operands: [1, 1],
  flags: buildFlags,
  async run(invocation) {
    if (parseBool(process.env.DOCKER_BUILDKIT ?? "") === false) {
      const { buildClassic } = await import("../build/classic.ts");
      return buildClassic(invocation);
    }
    const { buildWithBuildkit } = await import("../build/build.ts");
    return buildWithBuildkit(invocation);
  },
};
