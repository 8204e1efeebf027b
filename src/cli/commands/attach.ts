import { HullError } from "../../platform/errors.ts";
import type { Command } from "../command.ts";
import type { ContainerDetails } from "../container-details.ts";
import { attachStreams } from "../streams/attached.ts";
import { followResize } from "../streams/resize.ts";
import { forwardSignals } from "../streams/signals.ts";
import { stdinIsTerminal } from "../streams/terminal.ts";

export const command: Command = {
  usage: "[OPTIONS] CONTAINER",
  operands: [1, 1],
  flags: [
    { name: "detach-keys", kind: "string", help: "Override the key sequence for detaching a container" },
    { name: "no-stdin", kind: "bool", help: "Do not attach STDIN" },
    { name: "sig-proxy", kind: "bool", help: "Proxy all received signals to the process", default: "true" },
  ],
  async run({ flags, operands, session }) {
    const details = await session.json<ContainerDetails>({ path: `/containers/${operands[0]}/json` });
    const { Id: id, State: state } = details;
    if (!state.Running) throw new HullError("conflict", "You cannot attach to a stopped container, start it first");
    if (state.Paused) throw new HullError("conflict", "You cannot attach to a paused container, unpause it first");
    if (state.Restarting)
      throw new HullError("conflict", "You cannot attach to a restarting container, wait until it is running");
    const stdin = details.Config.OpenStdin && !flags.bool("no-stdin");
    const terminal = details.Config.Tty;
    if (terminal && stdin && !stdinIsTerminal())
      throw new HullError("invalid-argument", "the input device is not a TTY");
    const keys = flags.text("detach-keys");
    const waiting = await session.call({ method: "POST", path: `/containers/${id}/wait` });
    const stream = await session.hijack({
      method: "POST",
      path: `/containers/${id}/attach`,
      query: { stream: true, stdin, stdout: true, stderr: true, ...(keys === undefined ? {} : { detachKeys: keys }) },
    });
    using cleanup = new DisposableStack();
    const attached = cleanup.use(attachStreams(stream, { terminal, stdin, detachKeys: keys }));
    if (!flags.has("sig-proxy") || flags.bool("sig-proxy")) cleanup.use(forwardSignals(session, id));
    if (terminal) {
      cleanup.use(followResize(session, `/containers/${id}`));
    }
    if ((await attached.done) === "detached") throw new HullError("cancelled", "read escape sequence");
    return ((await waiting.json()) as { StatusCode: number }).StatusCode;
  },
};
