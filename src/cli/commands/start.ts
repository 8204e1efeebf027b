import { HullError } from "../../platform/errors.ts";
import { ANY_NUMBER, type Command, type Invocation } from "../command.ts";
import type { ContainerDetails } from "../container-details.ts";
import { forEachOperand } from "../each.ts";
import type { Session } from "../session.ts";
import { attachStreams } from "../streams/attached.ts";
import { warn } from "../streams/output.ts";
import { followResize } from "../streams/resize.ts";
import { forwardSignals } from "../streams/signals.ts";

export const command: Command = {
  usage: "[OPTIONS] CONTAINER [CONTAINER...]",
  operands: [1, ANY_NUMBER],
  flags: [
    { name: "attach", short: "a", kind: "bool", help: "Attach STDOUT/STDERR and forward signals" },
    { name: "interactive", short: "i", kind: "bool", help: "Attach container's STDIN" },
    { name: "detach-keys", kind: "string", help: "Override the key sequence for detaching a container" },
  ],
  run(invocation) {
    const { flags, operands, session } = invocation;
    if (flags.bool("attach") || flags.bool("interactive")) return startAttached(invocation);
    return startEach(session, operands);
  },
};

async function startEach(session: Session, names: readonly string[]): Promise<number> {
  const failed: string[] = [];
  const code = await forEachOperand(names, async (name) => {
    await session.call({ method: "POST", path: `/containers/${name}/start` }).catch((error: unknown) => {
      failed.push(name);
      throw error;
    });
  });
  if (failed.length > 0) await warn(`Error: failed to start containers: ${failed.join(", ")}`);
  return code;
}

async function startAttached({ flags, operands, session }: Invocation): Promise<number> {
  if (operands.length > 1)
    throw new HullError("invalid-argument", "you cannot start and attach multiple containers at once");
  const details = await session.json<ContainerDetails>({ path: `/containers/${operands[0]}/json` });
  const { Id: id } = details;
  const stdin = flags.bool("interactive") && details.Config.OpenStdin;
  const keys = flags.text("detach-keys");
  const stream = await session.hijack({
    method: "POST",
    path: `/containers/${id}/attach`,
    query: { stream: true, stdin, stdout: true, stderr: true, ...(keys === undefined ? {} : { detachKeys: keys }) },
  });
  using cleanup = new DisposableStack();
  const terminal = details.Config.Tty;
  const attached = cleanup.use(attachStreams(stream, { terminal, stdin, detachKeys: keys }));
  cleanup.use(forwardSignals(session, id));
  const condition = details.HostConfig.AutoRemove ? "removed" : "next-exit";
  const waiting = await session.call({ method: "POST", path: `/containers/${id}/wait`, query: { condition } });
  await session.call({ method: "POST", path: `/containers/${id}/start` });
  if (terminal) {
    cleanup.use(followResize(session, `/containers/${id}`));
  }
  if ((await attached.done) === "detached") return 0;
  return ((await waiting.json()) as { StatusCode: number }).StatusCode;
}
