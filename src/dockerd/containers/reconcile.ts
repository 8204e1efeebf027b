/**
 * What to do with a container when the engine looks at what really runs (at its start, and after hull-containerd's return). Pure:
 * a stored state and an observed task in, one decision out.
 */
import { type ContainerState, isActive } from "./state.ts";

/** A task as hull-containerd reports it. Times are RFC 3339. */
export type ObservedTask =
  | { readonly kind: "none" }
  | { readonly kind: "created"; readonly pid: number }
  | { readonly kind: "running" | "paused"; readonly pid: number; readonly startedAt: string }
  | { readonly kind: "stopped"; readonly exitCode: number; readonly exitedAt: string; readonly oomKilled: boolean };

export type Decision =
  /** They agree, nothing runs. */
  | { readonly kind: "leave" }
  /** The process lives: the record takes over what is observed. */
  | {
      readonly kind: "adopt";
      readonly pid: number;
      readonly startedAt: string;
      readonly paused: boolean;
      readonly isNew: boolean;
    }
  /** It ended unseen: report it once, apply the restart policy. */
  | {
      readonly kind: "exited";
      readonly exitCode: number;
      readonly exitedAt: string | undefined;
      readonly oomKilled: boolean;
      /** Its process is there and was never let go: the engine died between the two. */
      readonly discardsTask: boolean;
    }
  /** A start that was cut short, or an end already recorded: remove the task. */
  | { readonly kind: "discardTask" }
  /** The policy's restart was pending. */
  | { readonly kind: "restart" }
  | { readonly kind: "finishRemoval" };

/** Docker's code for an end that nobody saw. */
export const UNKNOWN_EXIT = 255;

export function reconcile(stored: ContainerState, observed: ObservedTask): Decision {
  if (stored.kind === "removing") return { kind: "finishRemoval" };
  if (observed.kind === "running" || observed.kind === "paused") {
    if (stored.kind === "dead") return { kind: "discardTask" };
    const isNew = !isActive(stored) || stored.pid !== observed.pid;
    return {
      kind: "adopt",
      pid: observed.pid,
      startedAt: observed.startedAt,
      paused: observed.kind === "paused",
      isNew,
    };
  }
  if (isActive(stored)) {
    if (observed.kind === "stopped")
      return {
        kind: "exited",
        exitCode: observed.exitCode,
        exitedAt: observed.exitedAt,
        oomKilled: observed.oomKilled,
        discardsTask: false,
      };
    const discardsTask = observed.kind === "created";
    return { kind: "exited", exitCode: UNKNOWN_EXIT, exitedAt: undefined, oomKilled: false, discardsTask };
  }
  if (stored.kind === "restarting") return { kind: "restart" };
  return observed.kind === "none" ? { kind: "leave" } : { kind: "discardTask" };
}
