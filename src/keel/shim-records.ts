/**
 * The records that describe a container to its shim, and those it answers with (docs/protocols.md, "Records"). Pure.
 */
import type { Buffer } from "node:buffer";
import { constants } from "node:os";
import { type ErrorCode, HullError } from "../platform/errors.ts";
import { encodeOperations, type Operation } from "./plan.ts";
import { decodeRecords, encodeRecord, type RecordInput, type WireRecord } from "./wire.ts";

const code = {
  section: 0x100,
  container: 0x101,
  stdio: 0x102,
  log: 0x103,
  exec: 0x104,
  process: 0x105,
  result: 0x110,
} as const;
const NO_INDEX = 0xffffffffn;

/** Record 0x101. Paths are absolute; the sockets' at most 100 bytes. `memoryCgroup` empty: no OOM watch. */
export interface ShimContainer {
  readonly id: string;
  readonly namespace: string;
  readonly stateDir: string;
  readonly pauseSocket: string;
  readonly shimSocket: string;
  readonly memoryCgroup?: string;
  readonly oomVersion?: 0 | 1 | 2;
}

/** Record 0x102. URIs: "" (/dev/null), "pipe:", "fifo:///p", "file:///p", "binary:///p?k=v". */
export interface ShimStdio {
  readonly terminal?: boolean;
  readonly rows?: number;
  readonly columns?: number;
  /** Closes stdin when the first attached client's input ends. */
  readonly stdinOnce?: boolean;
  readonly stdin?: string;
  readonly stdout?: string;
  readonly stderr?: string;
  /** Where output goes that a slow client has not taken; "" holds the process back instead. */
  readonly spillDir?: string;
  readonly spillBytes?: number;
}

/** Record 0x103: a json-file; maxBytes 0 is never rotated. */
export interface ShimLog {
  readonly path: string;
  readonly maxBytes?: number;
  readonly maxFiles?: number;
}

const bit = (value: boolean | undefined): number => (value ? 1 : 0);

export const containerRecord = (of: ShimContainer): RecordInput => ({
  code: code.container,
  ints: [of.oomVersion ?? 0, 0],
  blobs: [of.id, of.namespace, of.stateDir, of.pauseSocket, of.shimSocket, of.memoryCgroup ?? ""],
});

export const stdioRecord = (of: ShimStdio): RecordInput => ({
  code: code.stdio,
  ints: [bit(of.terminal), of.rows ?? 0, of.columns ?? 0, bit(of.stdinOnce), of.spillBytes ?? 0],
  blobs: [of.stdin ?? "", of.stdout ?? "", of.stderr ?? "", of.spillDir ?? ""],
});

export const logRecord = (of: ShimLog): RecordInput => ({
  code: code.log,
  ints: [of.maxBytes ?? 0, of.maxFiles ?? 0, 0],
  blobs: [of.path],
});

const sections = { host: 1, pause: 2, stage: 3 } as const;

/** A section record and its operations, encoded. */
export const encodeSection = (which: keyof typeof sections, list: readonly Operation[]): Uint8Array[] => [
  encodeRecord({ code: code.section, ints: [sections[which]] }),
  ...encodeOperations(list),
];

export const execRecord = (execId: string, startNow: boolean): RecordInput => ({
  code: code.exec,
  ints: [bit(startNow)],
  blobs: [execId],
});

/** How a process ended, as waitpid(2) has it: one of the two is set. */
export type ExitStatus = { readonly exitCode: number } | { readonly signal: number; readonly coreDumped: boolean };

export const exitStatusOf = (waitStatus: number): ExitStatus =>
  (waitStatus & 0x7f) === 0
    ? { exitCode: (waitStatus >> 8) & 0xff }
    : { signal: waitStatus & 0x7f, coreDumped: (waitStatus & 0x80) !== 0 };

/** The number Docker shows: the exit code, or 128 + signal. */
export const dockerExitCode = (status: ExitStatus): number =>
  "exitCode" in status ? status.exitCode : 128 + status.signal;

/** A process of a container as its shim sees it. `execId` "" is init; times are nanoseconds since 1970. */
export type ShimProcess = { readonly execId: string; readonly pid: number } & (
  | { readonly state: "created" }
  | { readonly state: "running"; readonly startedAtNs: bigint }
  | {
      readonly state: "stopped";
      readonly status: ExitStatus;
      readonly exitedAtNs: bigint;
      readonly oomKilled: boolean;
      /** undefined: it ended without having been started (or execve failed). */
      readonly startedAtNs: bigint | undefined;
    }
);

function decodeProcess(record: WireRecord): ShimProcess {
  const [pid = 0n, state = 0n, waitStatus = 0n, exitedAtNs = 0n, oomKilled = 0n, startedAtNs = 0n] = record.ints;
  const who = { execId: record.blobs[0]?.toString() ?? "", pid: Number(pid) };
  if (state === 1n) return { ...who, state: "created" };
  if (state === 2n) return { ...who, state: "running", startedAtNs };
  const status = exitStatusOf(Number(waitStatus));
  const started = startedAtNs === 0n ? undefined : startedAtNs;
  return { ...who, state: "stopped", status, exitedAtNs, oomKilled: oomKilled !== 0n, startedAtNs: started };
}

/** A result record that is not a failure. */
export interface ShimReply {
  readonly pausePid: number;
  readonly shimPid: number;
  readonly pid: number;
  readonly steps: Buffer;
  readonly outputs: Buffer;
  /** What keel remarks, such as log lines it could not write. */
  readonly message: string;
  readonly processes: readonly ShimProcess[];
}

const errnoNames = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));

const codeOfErrno: Readonly<Record<string, ErrorCode>> = {
  ESRCH: "not-found",
  ENOENT: "not-found",
  EEXIST: "already-exists",
  EBUSY: "failed-precondition",
  EALREADY: "failed-precondition",
  EAGAIN: "resource-exhausted",
  ENOSPC: "resource-exhausted",
  EINVAL: "invalid-argument",
  EBADMSG: "invalid-argument",
  ENOTTY: "invalid-argument",
  ENAMETOOLONG: "invalid-argument",
  EACCES: "permission-denied",
  EPERM: "permission-denied",
};

/** Text of a failure: `attempt` names what was asked, `operations` (in wire order) the one that failed. */
function failure(attempt: string, record: WireRecord, operations: readonly Operation[]): HullError {
  const errno = errnoNames.get(Number(record.ints[1])) ?? `errno ${record.ints[1]}`;
  const index = record.ints[0] === NO_INDEX ? undefined : Number(record.ints[0]);
  const failed = index === undefined ? undefined : operations[index];
  const message = record.blobs[2]?.toString() ?? "";
  const where = failed
    ? `${failed.name}${failed.subject && ` ${failed.subject}`}: ${errno}${failed.cause && ` (${failed.cause})`}, operation ${index} of ${operations.length}`
    : errno;
  const facts = { errno, ...(failed ? { operation: failed.name, index: index! } : {}) };
  return new HullError(codeOfErrno[errno] ?? "internal", [attempt, message, where].filter(Boolean).join(": "), {
    facts,
  });
}

/** Decodes the payload of a RESULT frame; a failure is thrown. */
export function decodeReply(attempt: string, payload: Buffer, operations: readonly Operation[] = []): ShimReply {
  const [result, ...rest] = decodeRecords(payload);
  if (result?.code !== code.result) throw new HullError("internal", `${attempt}: the answer is no result record`);
  if (result.ints[1] !== 0n) throw failure(attempt, result, operations);
  return {
    pausePid: Number(result.ints[2]),
    shimPid: Number(result.ints[3]),
    pid: Number(result.ints[4]),
    steps: result.blobs[0]!,
    outputs: result.blobs[1]!,
    message: result.blobs[2]?.toString() ?? "",
    processes: rest.filter((record) => record.code === code.process).map(decodeProcess),
  };
}

/** Decodes the payload of an EXITED or OOM event. */
export function decodeEvent(payload: Buffer): ShimProcess {
  const record = decodeRecords(payload).find((one) => one.code === code.process);
  if (!record) throw new HullError("internal", "an event of a shim has no process record");
  return decodeProcess(record);
}
