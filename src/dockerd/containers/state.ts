/**
 * The state of a container as a value and its transitions as one pure function. Times are RFC 3339 with nanoseconds;
 * NEVER is Docker's zero time.
 *
 *     created -> running <-> paused
 *     running | paused -> exited -> running          (start)
 *     running | paused -> restarting -> running      (restart policy)
 *     any stopped state -> removing -> gone, or dead when the clean-up failed
 */
import { HullError } from "../../platform/errors.ts";

export const NEVER = "0001-01-01T00:00:00Z";

/** What earlier runs left: shown in every state. */
interface History {
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly exitCode: number;
  /** Why the last start failed; empty otherwise. */
  readonly error: string;
  readonly oomKilled: boolean;
}

export type ContainerState =
  | (History & { readonly kind: "created" })
  | (History & { readonly kind: "running"; readonly pid: number })
  | (History & {
      readonly kind: "paused";
      readonly pid: number;
      /** Only while the engine itself looks at its files: the next engine lets it go on. */
      readonly briefly?: true;
    })
  | (History & { readonly kind: "restarting" })
  | (History & { readonly kind: "exited" })
  | (History & { readonly kind: "removing"; readonly wasStarted: boolean })
  | (History & { readonly kind: "dead" });

export type StateKind = ContainerState["kind"];

export type StateEvent =
  | { readonly kind: "started"; readonly pid: number; readonly at: string }
  | { readonly kind: "startFailed"; readonly exitCode: number; readonly error: string }
  | { readonly kind: "paused"; readonly briefly?: true }
  | { readonly kind: "resumed" }
  | { readonly kind: "outOfMemory" }
  | {
      readonly kind: "exited";
      readonly exitCode: number;
      readonly at: string;
      readonly oomKilled: boolean;
      /** The restart policy will start it again. */
      readonly restarts: boolean;
    }
  | { readonly kind: "restartCancelled" }
  | { readonly kind: "removing" }
  | { readonly kind: "removalFailed"; readonly error: string };

export const newState: ContainerState = {
  kind: "created",
  startedAt: NEVER,
  finishedAt: NEVER,
  exitCode: 0,
  error: "",
  oomKilled: false,
};

/** Pure. An illegal move names both ends. */
export function next(state: ContainerState, event: StateEvent): ContainerState {
  const history = historyOf(state);
  switch (event.kind) {
    case "started":
      if (isActive(state) || state.kind === "removing" || state.kind === "dead") throw illegal(state, event);
      return {
        ...history,
        kind: "running",
        pid: event.pid,
        startedAt: event.at,
        exitCode: 0,
        error: "",
        oomKilled: false,
      };
    case "startFailed":
      if (isActive(state) || state.kind === "removing") throw illegal(state, event);
      return {
        ...history,
        kind: state.kind === "created" ? "created" : "exited",
        exitCode: event.exitCode,
        error: event.error,
      };
    case "paused":
      if (state.kind !== "running") throw illegal(state, event);
      return { ...state, kind: "paused", ...(event.briefly && { briefly: true }) };
    case "resumed":
      if (state.kind !== "paused") throw illegal(state, event);
      return { ...history, kind: "running", pid: state.pid };
    case "outOfMemory":
      return isActive(state) ? { ...state, oomKilled: true } : state;
    case "exited":
      if (!isActive(state)) throw illegal(state, event);
      return {
        ...history,
        kind: event.restarts ? "restarting" : "exited",
        exitCode: event.exitCode,
        finishedAt: event.at,
        oomKilled: history.oomKilled || event.oomKilled,
      };
    case "restartCancelled":
      if (state.kind !== "restarting") throw illegal(state, event);
      return { ...state, kind: "exited" };
    case "removing":
      if (isActive(state)) throw illegal(state, event);
      return { ...history, kind: "removing", wasStarted: state.kind !== "created" };
    case "removalFailed":
      return { ...history, kind: "dead", error: event.error };
  }
}

/** Its first process lives. */
export function isActive(state: ContainerState): state is Extract<ContainerState, { pid: number }> {
  return state.kind === "running" || state.kind === "paused";
}

function historyOf(state: ContainerState): History {
  const { startedAt, finishedAt, exitCode, error, oomKilled } = state;
  return { startedAt, finishedAt, exitCode, error, oomKilled };
}

const illegal = (state: ContainerState, event: StateEvent): HullError =>
  new HullError("conflict", `a container that is ${state.kind} cannot become ${event.kind}`);
