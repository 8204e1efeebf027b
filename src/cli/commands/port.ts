import { HullError } from "../../platform/errors.ts";
import type { Command } from "../command.ts";
import type { ContainerDetails } from "../container-details.ts";
import { printLine } from "../streams/output.ts";

const address = (ip: string, port: string): string => (ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`);

/** Go's words. */
const parseFault = (text: string): string =>
  `strconv.ParseUint: parsing ${JSON.stringify(text)}: ${/^\d+$/.test(text) ? "value out of range" : "invalid syntax"}`;

export const command: Command = {
  usage: "CONTAINER [PRIVATE_PORT[/PROTO]]",
  operands: [1, 2],
  flags: [],
  async run({ operands, session }) {
    const details = await session.json<ContainerDetails>({ path: `/containers/${operands[0]}/json` });
    const ports = details.NetworkSettings.Ports ?? {};
    const wanted = operands[1];
    if (wanted === undefined) {
      const lines = Object.entries(ports).flatMap(([port, bindings]) =>
        (bindings ?? []).map((binding) => `${port} -> ${address(binding.HostIp, binding.HostPort)}`),
      );
      for (const line of lines.sort()) await printLine(line);
      return 0;
    }
    const number = wanted.split("/")[0]!;
    if (!/^\d{1,5}$/.test(number) || Number(number) > 65535)
      throw new HullError("invalid-argument", `Error: invalid port (${number}): ${parseFault(number)}`);
    const key = wanted.includes("/") ? wanted : `${wanted}/tcp`;
    const bindings = ports[key];
    if (!bindings || bindings.length === 0) {
      throw new HullError("not-found", `Error: No public port '${wanted}' published for ${operands[0]}`);
    }
    for (const binding of bindings) await printLine(address(binding.HostIp, binding.HostPort));
    return 0;
  },
};
