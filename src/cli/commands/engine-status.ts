import type { Command } from "../command.ts";
import { engineFlags, enginePlace, isAnswering } from "../engine.ts";
import { printLine } from "../streams/output.ts";

interface Status {
  readonly daemons: readonly {
    readonly name: string;
    readonly pid: number;
    readonly state: string;
    readonly residentBytes?: number;
  }[];
  readonly degraded: readonly string[];
}

export const command: Command = {
  usage: "[OPTIONS]",
  operands: [0, 0],
  flags: engineFlags,
  async run({ flags, session }) {
    const place = enginePlace(flags, session.options.host);
    if (!(await isAnswering(place.host))) {
      await printLine(`nothing answers on ${place.host}; start it with: hull engine start`);
      return 1;
    }
    const status = await session.json<Status>({ path: "/hull/v1/status" });
    await printLine(`answers on ${place.host}`);
    for (const daemon of status.daemons)
      await printLine(`${daemon.name.padEnd(18)}${String(daemon.pid).padStart(8)}  ${daemon.state}`);
    for (const line of status.degraded) await printLine(`degraded: ${line}`);
    return 0;
  },
};
