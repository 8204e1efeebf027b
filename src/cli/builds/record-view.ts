/** A record of the history as people read it. */
import { basename } from "node:path";
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { TRACE_KEY, WAITING_KEY } from "../../buildkit/explain/build-steps.ts";
import type { BuildHistoryRecord } from "../../buildkit/gen/moby/buildkit/v1/control_pb.ts";

const CANCELLED = 1;

const msOf = (time: Timestamp | undefined): number => (time ? timestampMs(time) : 0);
export const startedMs = ({ CreatedAt }: BuildHistoryRecord): number => msOf(CreatedAt);
export const durationMs = (record: BuildHistoryRecord, nowMs: number): number =>
  (record.CompletedAt ? msOf(record.CompletedAt) : nowMs) - startedMs(record);

/** "0.4s", "1m  5s", as buildx writes it. */
export function formatTook(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)}s`;
  return `${Math.trunc(seconds / 60)}m ${String(Math.trunc(seconds) % 60).padStart(2)}s`;
}

/** "app/other.Dockerfile (target)": what was built, where the client said it. */
export function nameOf({ FrontendAttrs: attributes }: BuildHistoryRecord): string {
  const given = attributes["build-arg:BUILDKIT_BUILD_NAME"];
  if (given) return given;
  const { target = "", filename = "", context = "" } = attributes;
  const directory = attributes["vcs:localdir:context"] ?? "";
  const place = context || (directory === "" ? "" : basename(directory));
  const file = filename === "" || filename === "Dockerfile" ? "" : filename;
  const name = [place, file].filter((part) => part !== "").join("/");
  if (target === "") return name;
  return name === "" ? target : `${name} (${target})`;
}

export function statusOf(record: BuildHistoryRecord): string {
  const { error, CompletedAt, ExporterResponse } = record;
  if (error) return error.code === CANCELLED ? "canceled" : "error";
  if (CompletedAt) return "completed";
  const ahead = ExporterResponse[WAITING_KEY];
  return ahead === undefined ? "running" : `waiting for a build slot, ${ahead} ahead`;
}

/** "7/7 (6 cached)" */
export const stepsText = ({ numCompletedSteps, numTotalSteps, numCachedSteps }: BuildHistoryRecord): string =>
  `${numCompletedSteps}/${numTotalSteps}${numCachedSteps > 0 ? ` (${numCachedSteps} cached)` : ""}`;

export const traceOf = ({ ExporterResponse }: BuildHistoryRecord): string => ExporterResponse[TRACE_KEY] ?? "";

/** What the exporters answered, and what of it is ours left out. */
export const resultsOf = ({ ExporterResponse }: BuildHistoryRecord): readonly (readonly [string, string])[] =>
  Object.entries(ExporterResponse)
    .filter(([name]) => !name.startsWith("hull."))
    .sort(([a], [b]) => (a < b ? -1 : 1));
