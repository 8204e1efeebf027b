/** What a build has said so far, as its displays show it: steps in the order in which they were first told. */
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { StatusResponse, VertexWarning } from "../../../buildkit/gen/moby/buildkit/v1/control_pb.ts";

export interface StepStatus {
  readonly id: string;
  readonly current: number;
  readonly total: number;
  readonly startedMs: number | undefined;
  readonly completedMs: number | undefined;
}

export interface Step {
  readonly digest: string;
  /** From 1, in the order in which a plain display shows them; 0: not shown yet. */
  index: number;
  name: string;
  startedMs: number | undefined;
  completedMs: number | undefined;
  cached: boolean;
  error: string;
  readonly statuses: Map<string, StepStatus>;
  readonly changedStatuses: Set<string>;
  readonly warnings: VertexWarning[];
  /** Lines of output with the seconds since the step began; the last may be unfinished. */
  readonly lines: { readonly seconds: number; text: string }[];
  /** The last of `lines` goes on. */
  partial: boolean;
}

export const millisecondsOf = (time: Timestamp): number => Number(time.seconds) * 1000 + time.nanos / 1e6;
const perhaps = (time: Timestamp | undefined): number | undefined => time && millisecondsOf(time);

export const isRunning = (step: Step): boolean => step.startedMs !== undefined && step.completedMs === undefined;

/** Lines of a step that are kept for the end of a build. */
const KEPT_LINES = 1000;

export class BuildTrace {
  readonly steps = new Map<string, Step>();
  readonly warnings: VertexWarning[] = [];

  /** The digests of steps of which something is new. */
  take(status: StatusResponse): Set<string> {
    const changed = new Set<string>();
    for (const { digest, name, started, completed, cached, error } of status.vertexes) {
      const step = this.#step(digest);
      step.name = name;
      step.startedMs = perhaps(started);
      step.completedMs = perhaps(completed);
      step.cached = cached;
      step.error = error;
      changed.add(digest);
    }
    for (const { vertex, ID, current, total, started, completed } of status.statuses) {
      const step = this.steps.get(vertex);
      if (!step) continue;
      const times = { startedMs: perhaps(started), completedMs: perhaps(completed) };
      step.statuses.set(ID, { id: ID, current: Number(current), total: Number(total), ...times });
      step.changedStatuses.add(ID);
      changed.add(vertex);
    }
    for (const warning of status.warnings) {
      this.warnings.push(warning);
      const step = this.steps.get(warning.vertex);
      step?.warnings.push(warning);
      if (step) changed.add(warning.vertex);
    }
    for (const { vertex, timestamp, msg } of status.logs) {
      const step = this.steps.get(vertex);
      if (!step) continue;
      const seconds = ((perhaps(timestamp) ?? 0) - (step.startedMs ?? 0)) / 1000;
      addOutput(step, seconds, Buffer.from(msg).toString());
      changed.add(vertex);
    }
    return changed;
  }

  #step(digest: string): Step {
    const known = this.steps.get(digest);
    if (known) return known;
    const step: Step = {
      digest,
      index: 0,
      name: "",
      startedMs: undefined,
      completedMs: undefined,
      cached: false,
      error: "",
      statuses: new Map(),
      changedStatuses: new Set(),
      warnings: [],
      lines: [],
      partial: false,
    };
    this.steps.set(digest, step);
    return step;
  }
}

function addOutput(step: Step, seconds: number, text: string): void {
  const parts = text.split("\n");
  for (const [index, part] of parts.entries()) {
    const isLast = index === parts.length - 1;
    if (isLast && part === "") break;
    if (index === 0 && step.partial) step.lines.at(-1)!.text += part;
    else step.lines.push({ seconds, text: part });
  }
  step.partial = parts.at(-1) !== "";
  if (step.lines.length > 2 * KEPT_LINES) step.lines.splice(0, step.lines.length - KEPT_LINES);
}

/** Seconds as BuildKit prints them before a line of output. */
export function formatSeconds(seconds: number): string {
  return seconds.toFixed(seconds < 10 ? 3 : seconds < 100 ? 2 : 1);
}

const units = ["B", "kB", "MB", "GB", "TB"];

/** "2.10MB" */
export function formatBytes(bytes: number): string {
  let [value, unit] = [bytes, 0];
  for (; value >= 1000 && unit < units.length - 1; unit++) value /= 1000;
  return unit === 0 ? `${value}B` : `${value.toFixed(2)}${units[unit]}`;
}

export function formatStatus({ id, current, total, startedMs, completedMs }: StepStatus, nowMs: number): string {
  const bytes =
    total !== 0 ? ` ${formatBytes(current)} / ${formatBytes(total)}` : current !== 0 ? ` ${formatBytes(current)}` : "";
  const seconds = startedMs === undefined ? 0 : ((completedMs ?? nowMs) - startedMs) / 1000;
  return `${id}${bytes}${seconds > 0.01 ? ` ${seconds.toFixed(1)}s` : ""}${completedMs === undefined ? "" : " done"}`;
}
