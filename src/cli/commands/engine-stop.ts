import type { Command } from "../command.ts";
import { engineFlags, enginePlace, stopEngine } from "../engine.ts";
import { printLine } from "../streams/output.ts";

export const command: Command = {
  usage: "[OPTIONS]",
  operands: [0, 0],
  flags: [
    ...engineFlags,
    { name: "containers", kind: "bool", help: "Stop every container first, so that nothing of the engine is left" },
  ],
  async run({ flags, session }) {
    const place = enginePlace(flags, session.options.host);
    if (flags.bool("containers")) {
      const running = await session.json<{ Id: string }[]>({ path: "/containers/json" });
      await Promise.all(running.map(({ Id: id }) => session.call({ method: "POST", path: `/containers/${id}/stop` })));
    }
    const stopped = await stopEngine(place);
    await printLine(stopped ? "the engine has stopped" : `no engine runs under ${place.execRoot}`);
    return stopped ? 0 : 1;
  },
};
