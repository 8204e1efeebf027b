/** Makes a container from a bundle: for `create` and `run`. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { isAbsolute, join, resolve } from "node:path";
import { type Operation, operation } from "../../keel/plan.ts";
import { StandAlone } from "../../keel/stand-alone.ts";
import { parseRuntimeSpec, type RuntimeSpec } from "../../oci/runtime-spec.ts";
import { connectedSocket } from "../../platform/connected-socket.ts";
import { during, HullError } from "../../platform/errors.ts";
import { compileContainer } from "../compile/container.ts";
import { SLOT } from "../compile/slots.ts";
import { type HostFacts, readHostFacts } from "../host-facts.ts";
import { O_PATH, S_IFIFO } from "../kernel-constants.ts";
import type { CliContext } from "./context.ts";
import { processFailure } from "./failure.ts";
import { isOn, type ParsedFlags, text } from "./flags.ts";
import { type PreservedFds, preservedFds } from "./preserved-fds.ts";
import { removeContainer } from "./remove.ts";
import { type ContainerState, checkId, claim, FIFO, save, startTimeOf } from "./state.ts";

export interface Made {
  readonly process: StandAlone;
  readonly state: ContainerState;
  readonly spec: RuntimeSpec;
}

interface Bundle {
  readonly path: string;
  readonly config: string;
  readonly spec: RuntimeSpec;
}

function readBundle(directory: string): Bundle {
  const path = resolve(directory);
  let config: string;
  try {
    config = readFileSync(join(path, "config.json"), "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw during(`read ${join(path, "config.json")}`, error);
    throw new HullError("not-found", `JSON specification file config.json not found`);
  }
  return { path, config, spec: parseRuntimeSpec(config) };
}

/** Each is a slot or an operation of the FIFO that holds a created process until `start`. */
function fifoOperations(directory: string): Operation[] {
  const cause = "exec.fifo";
  const slot = SLOT.stateDirectory;
  return [
    operation("open", { slot, flags: O_PATH, path: directory }, { cause }),
    operation("mknodIn", { rootSlot: slot, mode: S_IFIFO | 0o622, path: `/${FIFO}` }, { cause }),
    operation("open", { slot: SLOT.fifo, flags: O_PATH, path: join(directory, FIFO) }, { cause }),
  ];
}

function compile(
  context: CliContext,
  bundle: Bundle,
  { id, facts, waits, preserved }: { id: string; facts: HostFacts; waits: "fifo" | "byte"; preserved: PreservedFds },
) {
  const { flags } = context;
  const { process } = bundle.spec;
  const { fds, env } = preserved;
  return compileContainer({
    facts,
    spec: { ...bundle.spec, process: process && { ...process, env: [...process.env, ...env] } },
    id,
    bundle: bundle.path,
    inherited: new Set(),
    wait: [
      waits === "fifo"
        ? operation("waitFifo", { slot: SLOT.fifo }, { cause: "start" })
        : operation("waitStart", {}, { cause: "start" }),
    ],
    noPivot: isOn(flags, "no-pivot"),
    noNewKeyring: isOn(flags, "no-new-keyring"),
    preservedFds: fds.length,
  });
}

/** runc's rules about who holds the other end of a terminal. */
function checkConsole(context: CliContext, { process }: RuntimeSpec, detached: boolean): void {
  const socket = text(context.flags, "console-socket");
  if (socket && !process?.terminal)
    throw new HullError("invalid-argument", "cannot use console socket if runc will not detach or allocate tty");
  if (detached && process?.terminal && !socket)
    throw new HullError("invalid-argument", "cannot allocate tty if runc will detach without setting console socket");
}

export interface LaunchOptions {
  readonly id: string;
  /** Nobody of ours stays with it. */
  readonly detached: boolean;
}

/** The process waits for its start. A failure leaves nothing. */
export async function launch(context: CliContext, options: LaunchOptions): Promise<Made> {
  const { flags } = context;
  checkId(options.id);
  const bundle = readBundle(text(flags, "bundle") ?? ".");
  checkConsole(context, bundle.spec, options.detached);
  refusePidfdSocket(flags);
  const preserved = preservedFds(flags);
  const socket = text(flags, "console-socket");
  using connection = socket ? await connectedSocket(socket) : undefined;
  // keel gets ready while the plan is being made.
  const mode = { kind: options.detached ? "create" : "run" } as const;
  const keel = new StandAlone({ mode, consoleFd: connection?.fd, preserved: preserved.fds });
  try {
    return await execute(context, { ...options, bundle, keel, preserved });
  } catch (error) {
    keel[Symbol.dispose]();
    throw error;
  }
}

interface Execution extends LaunchOptions {
  readonly bundle: Bundle;
  readonly keel: StandAlone;
  readonly preserved: PreservedFds;
}

export function refusePidfdSocket(flags: ParsedFlags): void {
  if (text(flags, "pidfd-socket"))
    throw new HullError("unimplemented", "--pidfd-socket is not supported: use --pid-file");
}

async function execute(context: CliContext, { id, detached, bundle, keel, preserved }: Execution): Promise<Made> {
  const { root, flags, log } = context;
  const { path, spec, config } = bundle;
  const plan = compile(context, bundle, { id, facts: readHostFacts(), waits: detached ? "fifo" : "byte", preserved });
  for (const warning of plan.warnings) log.write("warning", warning);
  const directory = claim(root, id);
  const rootfs = isAbsolute(spec.root.path) ? spec.root.path : join(path, spec.root.path);
  const owner = process.env.USER ?? "root";
  const draft = { id, bundle: path, rootfs, created: new Date().toISOString(), owner, cgroup: plan.place, config };
  try {
    save(root, { ...draft, pid: 0, startTime: "" });
    await keel.execute([...(detached ? fifoOperations(directory) : []), ...plan.host, ...plan.stage]).catch((error) => {
      throw processFailure(error);
    });
    const state = save(root, { ...draft, pid: keel.pid, startTime: startTimeOf(keel.pid) ?? "" });
    writePidFile(text(flags, "pid-file"), keel.pid);
    return { process: keel, state, spec };
  } catch (error) {
    await removeContainer(context, { id, cgroup: plan.place });
    throw error;
  }
}

/** Renamed into place: who waits for it must not read half a number. */
export function writePidFile(path: string | undefined, pid: number): void {
  if (!path) return;
  try {
    writeFileSync(`${path}.tmp`, String(pid), { mode: 0o666 });
    renameSync(`${path}.tmp`, path);
  } catch (error) {
    throw during(`write pid file ${path}`, error);
  }
}
