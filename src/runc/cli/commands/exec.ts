import { readFileSync } from "node:fs";
import { operation } from "../../../keel/plan.ts";
import { StandAlone } from "../../../keel/stand-alone.ts";
import { parseProcess, parseRuntimeSpec, type RuntimeSpec, type SpecProcess } from "../../../oci/runtime-spec.ts";
import { connectedSocket } from "../../../platform/connected-socket.ts";
import { HullError, messageOf } from "../../../platform/errors.ts";
import { subCgroup } from "../../cgroup/sub-cgroup.ts";
import { compileExec } from "../../compile/exec.ts";
import { readHostFacts } from "../../host-facts.ts";
import type { CliCommand, CliContext } from "../context.ts";
import { processFailure } from "../failure.ts";
import { isOn, number, type ParsedFlags, text, texts } from "../flags.ts";
import { refusePidfdSocket, writePidFile } from "../launch.ts";
import { preservedFds } from "../preserved-fds.ts";
import { load, statusOf } from "../state.ts";

const RUNTIME_FAILURE = 255;

function parseUser(flag: string, { user }: SpecProcess): SpecProcess["user"] {
  const match = /^(\d+)(?::(\d+))?$/.exec(flag);
  const [uid, gid] = [Number(match?.[1]), Number(match?.[2] ?? user.gid)];
  if (!match || uid > 0x7fffffff || gid > 0x7fffffff)
    throw new HullError("invalid-argument", `parsing ${flag} as int for uid failed: it is no number up to 2147483647`);
  return { ...user, uid, gid, username: undefined };
}

/** The container's own process with what the flags change. */
function fromFlags(flags: ParsedFlags, base: SpecProcess, args: readonly string[]): SpecProcess {
  if (args.length === 0) throw new HullError("invalid-argument", "process args cannot be empty");
  const added = texts(flags, "cap");
  const with_ = (set: readonly string[]): readonly string[] => [...new Set([...set, ...added])];
  const sets = base.capabilities && {
    ...base.capabilities,
    bounding: with_(base.capabilities.bounding),
    effective: with_(base.capabilities.effective),
    permitted: with_(base.capabilities.permitted),
  };
  const user = text(flags, "user");
  const groups = texts(flags, "additional-gids").map((gid) =>
    number({ texts: new Map([["additional-gids", [gid]]]), rest: [] }, "additional-gids", 0),
  );
  const who = user ? parseUser(user, base) : base.user;
  return {
    ...base,
    args,
    env: [...base.env, ...texts(flags, "env")],
    cwd: text(flags, "cwd") ?? base.cwd,
    terminal: isOn(flags, "tty"),
    user: { ...who, additionalGids: [...who.additionalGids, ...groups] },
    capabilities: sets,
    noNewPrivileges: text(flags, "no-new-privs") === undefined ? base.noNewPrivileges : isOn(flags, "no-new-privs"),
    apparmorProfile: text(flags, "apparmor") ?? base.apparmorProfile,
    selinuxLabel: text(flags, "process-label") ?? base.selinuxLabel,
  };
}

function processOf({ flags }: CliContext, spec: RuntimeSpec): SpecProcess {
  const file = text(flags, "process");
  if (file) return parseProcess(readFileSync(file === "-" ? 0 : file));
  return fromFlags(flags, spec.process!, flags.rest.slice(1));
}

async function execute(context: CliContext): Promise<number> {
  const { flags, root, log } = context;
  const state = load(root, flags.rest[0]!);
  const status = await statusOf(root, state);
  if (status === "stopped" || status === "creating")
    throw new HullError("failed-precondition", "cannot exec in a stopped container");
  // With --ignore-paused it waits in the frozen cgroup until the container is resumed, as runc's does.
  if (status === "paused" && !isOn(flags, "ignore-paused"))
    throw new HullError("failed-precondition", "cannot exec in a paused container (use --ignore-paused to override)");
  const spec = parseRuntimeSpec(state.config);
  const process = processOf(context, spec);
  const detach = isOn(flags, "detach");
  const socket = text(flags, "console-socket");
  if (detach && process.terminal && !socket)
    throw new HullError("invalid-argument", "cannot allocate tty if runc will detach without setting console socket");
  const wait = [operation("waitStart", {}, { cause: "start" })];
  refusePidfdSocket(flags);
  const { fds, env } = preservedFds(flags);
  const { stage, warnings } = compileExec({
    facts: readHostFacts(),
    spec,
    process: { ...process, env: [...process.env, ...env] },
    place: subCgroup(state.cgroup, texts(flags, "cgroup")),
    wait,
    preservedFds: fds.length,
  });
  for (const warning of warnings) log.write("warning", warning);
  using connection = socket ? await connectedSocket(socket) : undefined;
  const mode = { kind: "exec", initPid: state.pid, detach } as const;
  const running = await StandAlone.begin({
    operations: stage,
    mode,
    preserved: fds,
    ...(connection && { consoleFd: connection.fd }),
  }).catch((error) => {
    throw processFailure(error);
  });
  writePidFile(text(flags, "pid-file"), running.pid);
  for (const signal of ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"] as const)
    globalThis.process.on(signal, () => running.kill(signal));
  return await running.exit;
}

export const command: CliCommand = {
  usage: "exec [command options] <container-id> <command> [command options]  || -p process.json <container-id>",
  about: "execute new process inside the container",
  flags: {
    "console-socket": { kind: "text" },
    "pidfd-socket": { kind: "text" },
    cwd: { kind: "text" },
    env: { kind: "list", aliases: ["e"] },
    tty: { kind: "switch", aliases: ["t"] },
    user: { kind: "text", aliases: ["u"] },
    "additional-gids": { kind: "list", aliases: ["g"] },
    process: { kind: "text", aliases: ["p"] },
    detach: { kind: "switch", aliases: ["d"] },
    "pid-file": { kind: "text" },
    "process-label": { kind: "text" },
    apparmor: { kind: "text" },
    "no-new-privs": { kind: "switch" },
    cap: { kind: "list", aliases: ["c"] },
    "preserve-fds": { kind: "text" },
    cgroup: { kind: "list" },
    "ignore-paused": { kind: "switch" },
  },
  arguments: [1, Number.POSITIVE_INFINITY],
  async run(context) {
    try {
      return await execute(context);
    } catch (error) {
      context.fail(`exec failed: ${messageOf(error)}`);
      return RUNTIME_FAILURE;
    }
  },
};
