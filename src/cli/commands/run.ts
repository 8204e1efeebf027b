import { codeOf, HullError, messageOf } from "../../platform/errors.ts";
import { nowMs } from "../../trace/clock.ts";
import type { Command, Invocation } from "../command.ts";
import { ANY_NUMBER } from "../command.ts";
import { createContainer } from "../container-options/create-container.ts";
import { containerFlags } from "../container-options/flags.ts";
import { ExitError } from "../exit-error.ts";
import type { Session } from "../session.ts";
import { type Attached, attachStreams } from "../streams/attached.ts";
import { printLine } from "../streams/output.ts";
import { followResize } from "../streams/resize.ts";
import { forwardSignals } from "../streams/signals.ts";
import { stdinIsTerminal } from "../streams/terminal.ts";

export const command: Command = {
  usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
  operands: [1, ANY_NUMBER],
  stopAtOperand: true,
  flags: [
    ...containerFlags,
    { name: "detach", short: "d", kind: "bool", help: "Run container in background and print container ID" },
    { name: "detach-keys", kind: "string", help: "Override the key sequence for detaching a container" },
    { name: "sig-proxy", kind: "bool", help: "Proxy received signals to the process", default: "true" },
  ],
  async run(invocation) {
    try {
      return await run(invocation);
    } catch (error) {
      if (error instanceof ExitError) throw error;
      throw new ExitError(
        exitCodeOf(error),
        `docker: ${messageOf(error)}\n\nRun 'docker run --help' for more information`,
      );
    }
  },
};

/** docker's exit codes by the engine's text: 127 no such executable, 126 not executable, 125 the rest. */
export function exitCodeOf(error: unknown): number {
  const message = messageOf(error);
  if (/executable file not found|no such file or directory/.test(message) && codeOf(error) !== "not-found") return 127;
  if (/permission denied|is a directory/.test(message)) return 126;
  return 125;
}

/** Of the attachment and of the start: the wait, whose answer comes at the end, has the connection of the creation. */
const AHEAD = 2;

async function run({ flags, operands, session }: Invocation): Promise<number> {
  const detached = flags.bool("detach");
  const { id, body } = await createContainer(session, { flags, operands, detached, ahead: detached ? 0 : AHEAD });
  const terminal = body.Tty;
  if (terminal && body.AttachStdin && !stdinIsTerminal()) throw new ExitError(1, "the input device is not a TTY");
  const streams = { stdin: body.AttachStdin, stdout: body.AttachStdout, stderr: body.AttachStderr };
  const attaches = streams.stdin || streams.stdout || streams.stderr;
  using cleanup = new DisposableStack();
  const createdMs = nowMs();
  // The wait must be registered before the start: a short process would end in between.
  const condition = body.HostConfig.AutoRemove ? "removed" : "next-exit";
  const asked = Promise.all([
    detached ? undefined : session.call({ method: "POST", path: `/containers/${id}/wait`, query: { condition } }),
    attaches ? session.hijack(attachCall(id, streams, flags.text("detach-keys"))) : undefined,
  ]);
  if (attaches && (!flags.has("sig-proxy") || flags.bool("sig-proxy"))) cleanup.use(forwardSignals(session, id));
  const [waiting, stream] = await asked;
  let attached: Attached | undefined;
  if (stream) {
    const detachKeys = flags.text("detach-keys");
    attached = cleanup.use(attachStreams(stream, { terminal, stdin: streams.stdin, detachKeys }));
  }
  session.span("attach and wait", createdMs, { container: id });
  try {
    await startOrRemove(session, id, body.HostConfig.AutoRemove);
  } finally {
    if (!waiting) await printLine(id);
  }
  if (!waiting) return 0;
  if (terminal && streams.stdout) cleanup.use(followResize(session, `/containers/${id}`));
  const startMs = nowMs();
  if ((await attached?.done) === "detached") return 0;
  const exit = (await waiting.json()) as { StatusCode: number; Error?: { Message: string } };
  cleanup.dispose();
  session.span("running", startMs, { container: id });
  if (exit.Error?.Message) throw new HullError("internal", exit.Error.Message);
  return exit.StatusCode;
}

const attachCall = (id: string, streams: Readonly<Record<string, boolean>>, keys: string | undefined) => ({
  method: "POST" as const,
  path: `/containers/${id}/attach`,
  query: { stream: true, ...streams, ...(keys === undefined ? {} : { detachKeys: keys }) },
});

async function startOrRemove(session: Session, id: string, autoRemove: boolean): Promise<void> {
  try {
    await session.call({ method: "POST", path: `/containers/${id}/start` });
  } catch (error) {
    // As docker: a container made with --rm that never ran is removed; the engine does it, this only asks again.
    if (autoRemove)
      await session
        .call({ method: "DELETE", path: `/containers/${id}`, query: { force: true } })
        .catch(() => undefined);
    throw error;
  }
}
