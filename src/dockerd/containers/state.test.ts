import assert from "node:assert/strict";
import { test } from "node:test";
import { type Decision, type ObservedTask, reconcile } from "./reconcile.ts";
import { type ContainerState, NEVER, newState, next, type StateEvent } from "./state.ts";

const at = "2026-01-02T03:04:05.000000006Z";
const started: StateEvent = { kind: "started", pid: 7, at };
const exited = (restarts: boolean): StateEvent => ({ kind: "exited", exitCode: 3, at, oomKilled: false, restarts });
const running = next(newState, started);
const paused = next(running, { kind: "paused" });
const stopped = next(running, exited(false));
const restarting = next(running, exited(true));
const removing = next(stopped, { kind: "removing" });

test("a run goes from created over running and paused to exited and remembers its times and code", () => {
  assert.equal(running.kind, "running");
  assert.equal(next(paused, { kind: "resumed" }).kind, "running");
  assert.deepEqual([stopped.kind, stopped.exitCode, stopped.startedAt, stopped.finishedAt], ["exited", 3, at, at]);
  assert.deepEqual([restarting.kind, next(restarting, started).kind], ["restarting", "running"]);
});

test("a pause for the engine's own sake is over with it", () => {
  const briefly = next(running, { kind: "paused", briefly: true });
  assert.equal(briefly.kind === "paused" && briefly.briefly, true);
  assert.deepEqual(next(briefly, { kind: "resumed" }), running);
});

test("a failed start leaves a new container created and an old one exited, with code and text", () => {
  const failed: StateEvent = { kind: "startFailed", exitCode: 127, error: "no such file" };
  assert.deepEqual(next(newState, failed), { ...newState, exitCode: 127, error: "no such file" });
  assert.equal(next(stopped, failed).kind, "exited");
  assert.equal(next(newState, failed).startedAt, NEVER);
});

test("running out of memory is remembered until the next start", () => {
  const oom = next(next(running, { kind: "outOfMemory" }), exited(false));
  assert.equal(oom.oomKilled, true);
  assert.equal(next(oom, started).oomKilled, false);
});

const illegal: readonly (readonly [ContainerState, StateEvent])[] = [
  [running, started],
  [newState, { kind: "paused" }],
  [running, { kind: "resumed" }],
  [running, { kind: "removing" }],
  [stopped, exited(false)],
  [removing, started],
];
for (const [state, event] of illegal)
  test(`${state.kind} refuses ${event.kind}`, () => assert.throws(() => next(state, event), /cannot become/));

const runs: ObservedTask = { kind: "running", pid: 7, startedAt: at };
const runsOther: ObservedTask = { kind: "running", pid: 8, startedAt: at };
const ended: ObservedTask = { kind: "stopped", exitCode: 9, exitedAt: at, oomKilled: true };
const none: ObservedTask = { kind: "none" };
const half: ObservedTask = { kind: "created", pid: 7 };
const adopt = (pid: number, isNew: boolean, isPaused = false): Decision => ({
  kind: "adopt",
  pid,
  startedAt: at,
  paused: isPaused,
  isNew,
});

const table: readonly (readonly [string, ContainerState, ObservedTask, Decision])[] = [
  ["what still runs is adopted and nothing else happens", running, runs, adopt(7, false)],
  ["what still is paused is adopted as paused", paused, { ...runs, kind: "paused" }, adopt(7, false, true)],
  ["another process than recorded is taken over", running, runsOther, adopt(8, true)],
  ["a start whose record was lost is taken over", newState, runs, adopt(7, true)],
  ["a start after an exit whose record was lost is taken over", stopped, runs, adopt(7, true)],
  ["a pending restart that happened is taken over", restarting, runs, adopt(7, true)],
  [
    "an unseen exit is reported with its code",
    running,
    ended,
    { kind: "exited", exitCode: 9, exitedAt: at, oomKilled: true, discardsTask: false },
  ],
  [
    "a process gone without a trace exited with 255",
    running,
    none,
    { kind: "exited", exitCode: 255, exitedAt: undefined, oomKilled: false, discardsTask: false },
  ],
  [
    "a task that was never let go is removed and counts as gone",
    running,
    half,
    { kind: "exited", exitCode: 255, exitedAt: undefined, oomKilled: false, discardsTask: true },
  ],
  ["a recorded exit's task is removed", stopped, ended, { kind: "discardTask" }],
  ["a half-made start is undone", newState, half, { kind: "discardTask" }],
  ["a pending restart goes on", restarting, none, { kind: "restart" }],
  ["a pending restart goes on beside the old task", restarting, ended, { kind: "restart" }],
  ["an interrupted removal is finished", removing, none, { kind: "finishRemoval" }],
  ["created and no task: nothing to do", newState, none, { kind: "leave" }],
  ["exited and no task: nothing to do", stopped, none, { kind: "leave" }],
  ["dead and a process: it is discarded", { ...stopped, kind: "dead" }, runs, { kind: "discardTask" }],
];
for (const [title, stored, observed, decision] of table)
  test(`reconcile: ${title}`, () => assert.deepEqual(reconcile(stored, observed), decision));
