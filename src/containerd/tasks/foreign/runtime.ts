/**
 * Another OCI runtime below the shim: its command line as operations. `create`, `start` and `exec` run in a stage of the shim, so that the
 * processes they leave are the shim's; the other commands run beside it. Pure.
 */
import { basename, join } from "node:path";
import { type Operation, operation } from "../../../keel/plan.ts";
import type { Roots, TaskPaths } from "../../roots.ts";
import type { TaskFile } from "../bundle.ts";

export interface ForeignRuntime {
  /** The program, by its path or as PATH has it. */
  readonly binary: string;
  /** Where it keeps what it knows of its containers. */
  readonly root: string;
  /** The container. */
  readonly id: string;
}

export interface ForeignContainer {
  readonly roots: Roots;
  readonly namespace: string;
  readonly id: string;
}

/** Undefined for our own. */
export function foreignRuntime(binary: string, { roots, namespace, id }: ForeignContainer): ForeignRuntime | undefined {
  if (binary === "") return undefined;
  return { binary, root: join(roots.execRoot, `runtime-${basename(binary)}`, namespace), id };
}

export const logFile = (bundle: string): string => join(bundle, "runtime-log.json");

const COMMAND_MS = 30_000;
const CLONE_NEWUTS = 0x04000000;
const CLONE_NEWNET = 0x40000000;
const SLOT = 0;
const WRITE_ANEW = 0o1101;

/** One command to its end. A status but 0 fails with what it printed. */
export const foreignCommand = (runtime: ForeignRuntime, command: readonly string[], input = ""): Operation =>
  operation(
    "command",
    {
      timeoutMs: COMMAND_MS,
      check: 1,
      argv: [runtime.binary, "--root", runtime.root, ...command],
      envp: [],
      stdin: Buffer.from(input),
    },
    { cause: `runtime ${runtime.binary}`, subject: `${command[0]} ${runtime.id}` },
  );

/** What a container that is gone leaves with its runtime. */
export const foreignDelete = (runtime: ForeignRuntime): Operation =>
  foreignCommand(runtime, ["delete", "--force", runtime.id]);

export interface StageFiles {
  readonly paths: TaskPaths;
  readonly terminal: boolean;
  /** A process in the namespaces of the host as this engine sees it: the shim lives in the container's network. */
  readonly hostPid: number;
}

export function createStage(runtime: ForeignRuntime, files: StageFiles): Operation[] {
  const { bundle } = files.paths;
  const pidFile = join(bundle, "init.pid");
  const command = ["create", "--bundle", bundle, ...outcome(files, pidFile), runtime.id];
  return [
    ...enterHost(files.hostPid),
    inStage(runtime, { files, command, pidFile }),
    operation("waitStart", {}, { cause: "start" }),
    operation(
      "runtime",
      { argv: [...invocation(runtime, bundle), "start", runtime.id], pidFile: "", consoleSocket: "" },
      { cause: `runtime ${runtime.binary}`, subject: "start" },
    ),
  ];
}

export interface ForeignExec extends StageFiles {
  readonly execId: string;
  /** OCI process.json. */
  readonly process: Uint8Array;
}

/** It begins with its start: until then the stage stands for it. */
export function execStage(runtime: ForeignRuntime, exec: ForeignExec): Operation[] {
  const file = (name: string): string => join(exec.paths.bundle, `exec-${exec.execId}.${name}`);
  const [pidFile, processFile] = [file("pid"), file("process.json")];
  const command = ["exec", "--detach", "--process", processFile, ...outcome(exec, pidFile), runtime.id];
  const forget = (path: string): Operation => operation("unlink", { path }, { tolerate: ["ENOENT"], cause: "exec" });
  return [
    ...enterHost(exec.hostPid),
    operation("standIn", {}, { cause: "exec" }),
    operation("waitStart", {}, { cause: "start" }),
    operation(
      "writeFile",
      { path: processFile, data: exec.process, flags: WRITE_ANEW, mode: 0o600 },
      { cause: "exec" },
    ),
    inStage(runtime, { files: exec, command, pidFile }),
    forget(processFile),
    forget(pidFile),
  ];
}

const invocation = ({ binary, root }: ForeignRuntime, bundle: string): string[] => [
  ...[binary, "--root", root],
  ...["--log", logFile(bundle), "--log-format", "json"],
];

/** How it tells its process, and where its terminal goes. */
const outcome = ({ terminal, paths }: StageFiles, pidFile: string): string[] => [
  ...["--pid-file", pidFile],
  ...(terminal ? ["--console-socket", consoleSocket(paths)] : []),
];

/** Short, as a socket's path has to be. */
const consoleSocket = ({ shimSocket }: TaskPaths): string => `${shimSocket}.tty`;

interface InStage {
  readonly files: StageFiles;
  readonly command: readonly string[];
  readonly pidFile: string;
}

const inStage = (runtime: ForeignRuntime, { files, command, pidFile }: InStage): Operation =>
  operation(
    "runtime",
    {
      argv: [...invocation(runtime, files.paths.bundle), ...command],
      pidFile,
      consoleSocket: files.terminal ? consoleSocket(files.paths) : "",
    },
    { cause: `runtime ${runtime.binary}`, subject: command[0]! },
  );

/** Runtimes take the namespaces they are called in for the host's. */
const enterHost = (pid: number): Operation[] =>
  (
    [
      ["net", CLONE_NEWNET],
      ["uts", CLONE_NEWUTS],
    ] as const
  ).flatMap(([name, nstype]) => [
    operation("open", { slot: SLOT, flags: 0, path: `/proc/${pid}/ns/${name}` }, { cause: "the host's namespaces" }),
    operation("setns", { slot: SLOT, nstype }, { cause: "the host's namespaces", subject: name }),
    operation("close", { slot: SLOT }, { cause: "the host's namespaces" }),
  ]);

/** Of a task that exists; undefined where our own made it. */
export const foreignOf = (roots: Roots, { namespace, id, identity }: ForeignTask): ForeignRuntime | undefined =>
  foreignRuntime(identity.file.runtime?.binary ?? "", { roots, namespace, id });

interface ForeignTask {
  readonly namespace: string;
  readonly id: string;
  readonly identity: { readonly file: Pick<TaskFile, "runtime"> };
}
