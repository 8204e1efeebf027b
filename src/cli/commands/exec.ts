import { HullError } from "../../platform/errors.ts";
import { ANY_NUMBER, type Command, type Invocation } from "../command.ts";
import { parseEnvironment } from "../container-options/environment.ts";
import { ExitError } from "../exit-error.ts";
import type { Session } from "../session.ts";
import { attachStreams } from "../streams/attached.ts";
import { followResize } from "../streams/resize.ts";
import { stdinIsTerminal, terminalSize } from "../streams/terminal.ts";

export const command: Command = {
  usage: "[OPTIONS] CONTAINER COMMAND [ARG...]",
  operands: [2, ANY_NUMBER],
  stopAtOperand: true,
  flags: [
    { name: "detach", short: "d", kind: "bool", help: "Detached mode: run command in the background" },
    { name: "detach-keys", kind: "string", help: "Override the key sequence for detaching a container" },
    { name: "env", short: "e", kind: "list", help: "Set environment variables" },
    { name: "env-file", kind: "list", help: "Read in a file of environment variables" },
    { name: "interactive", short: "i", kind: "bool", help: "Keep STDIN open even if not attached" },
    { name: "privileged", kind: "bool", help: "Give extended privileges to the command" },
    { name: "tty", short: "t", kind: "bool", help: "Allocate a pseudo-TTY" },
    { name: "user", short: "u", kind: "string", help: 'Username or UID (format: "<name|uid>[:<group|gid>]")' },
    { name: "workdir", short: "w", kind: "string", help: "Working directory inside the container" },
  ],
  async run(invocation) {
    const { flags, operands, session } = invocation;
    const body = execBody(invocation);
    if (body.Tty && body.AttachStdin && !stdinIsTerminal()) throw new ExitError(1, "the input device is not a TTY");
    const { Id: id } = await session.json<{ Id: string }>({
      method: "POST",
      path: `/containers/${operands[0]}/exec`,
      body,
    });
    const start = {
      Detach: flags.bool("detach"),
      Tty: body.Tty,
      ...(body.ConsoleSize ? { ConsoleSize: body.ConsoleSize } : {}),
    };
    if (flags.bool("detach")) {
      await session.call({ method: "POST", path: `/exec/${id}/start`, body: start });
      return 0;
    }
    return attachedExec(session, id, {
      start,
      stdin: body.AttachStdin,
      terminal: body.Tty,
      detachKeys: body.DetachKeys,
    });
  },
};

function execBody({ flags, operands }: Invocation) {
  const detached = flags.bool("detach");
  const keys = flags.text("detach-keys");
  const { rows, columns } = terminalSize();
  return {
    User: flags.text("user") ?? "",
    Privileged: flags.bool("privileged"),
    Tty: flags.bool("tty"),
    AttachStdin: !detached && flags.bool("interactive"),
    AttachStdout: !detached,
    AttachStderr: !detached,
    Detach: detached,
    Env: parseEnvironment(flags.list("env"), flags.list("env-file")),
    WorkingDir: flags.text("workdir") ?? "",
    Cmd: operands.slice(1),
    ...(keys === undefined ? {} : { DetachKeys: keys }),
    ...(flags.bool("tty") && rows > 0 ? { ConsoleSize: [rows, columns] as const } : {}),
  };
}

interface AttachedExec {
  readonly start: unknown;
  readonly stdin: boolean;
  readonly terminal: boolean;
  readonly detachKeys: string | undefined;
}

async function attachedExec(session: Session, id: string, exec: AttachedExec): Promise<number> {
  const { start, stdin, terminal, detachKeys } = exec;
  const stream = await session.hijack({
    method: "POST",
    path: `/exec/${id}/start`,
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(start),
  });
  using cleanup = new DisposableStack();
  const attached = cleanup.use(attachStreams(stream, { terminal, stdin, detachKeys }));
  if (terminal) {
    cleanup.use(followResize(session, `/exec/${id}`));
  }
  if ((await attached.done) === "detached") throw new HullError("cancelled", "read escape sequence");
  const result = await session.json<{ ExitCode: number | null }>({ path: `/exec/${id}/json` });
  return result.ExitCode ?? 0;
}
