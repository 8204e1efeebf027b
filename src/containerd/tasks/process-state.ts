/** The life of a process of a task, init or exec. Pure. */
import { HullError } from "../../platform/errors.ts";

export interface ExitInfo {
  /** As a shell shows it: the exit code, or 128 + signal. */
  readonly exitStatus: number;
  /** Milliseconds since the epoch. */
  readonly exitedAt: number;
  readonly oomKilled: boolean;
}

export type ProcessState =
  | { readonly kind: "created"; readonly pid: number }
  | { readonly kind: "running"; readonly pid: number; readonly startedAt: number }
  | { readonly kind: "paused"; readonly pid: number; readonly startedAt: number }
  | { readonly kind: "stopped"; readonly pid: number; readonly startedAt: number; readonly exit: ExitInfo };

export type ProcessEvent =
  | { readonly kind: "start"; readonly at: number }
  | { readonly kind: "pause" }
  | { readonly kind: "resume" }
  | { readonly kind: "exit"; readonly exit: ExitInfo };

const allowed: Readonly<Record<ProcessEvent["kind"], readonly ProcessState["kind"][]>> = {
  start: ["created"],
  pause: ["running"],
  resume: ["paused"],
  exit: ["created", "running", "paused"],
};

/** Throws `failed-precondition` naming both ends of an illegal move. */
export function nextState(state: ProcessState, event: ProcessEvent): ProcessState {
  if (!allowed[event.kind].includes(state.kind)) {
    throw new HullError("failed-precondition", `cannot ${event.kind} a ${state.kind} process`);
  }
  const { pid } = state;
  const startedAt = "startedAt" in state ? state.startedAt : 0;
  switch (event.kind) {
    case "start":
      return { kind: "running", pid, startedAt: event.at };
    case "pause":
      return { kind: "paused", pid, startedAt };
    case "resume":
      return { kind: "running", pid, startedAt };
    case "exit":
      return { kind: "stopped", pid, startedAt, exit: event.exit };
  }
}
