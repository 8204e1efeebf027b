/** What buildx prints of a build that failed: the end of the step's output, its place in the Dockerfile, the error. */
import { create, fromBinary, fromJsonString } from "@bufbuild/protobuf";
import { type Source, SourceSchema } from "../../buildkit/gen/errdefs/errdefs_pb.ts";
import { StatusSchema } from "../../buildkit/gen/google/rpc/status_pb.ts";
import type { VertexWarning } from "../../buildkit/gen/moby/buildkit/v1/control_pb.ts";
import { HullError, messageOf } from "../../platform/errors.ts";
import { DETAILS_FACT } from "../../platform/grpc/call-failure.ts";
import { type BuildTrace, formatSeconds } from "./progress/trace.ts";

/** Lines around the place that are shown. */
const AROUND_LINES = 4;
const RULE = "--------------------";

export function failureReport(error: unknown, trace: BuildTrace): string {
  return `${failedSteps(trace)}${sourcesOf(error).map(excerpt).join("")}ERROR: failed to build: failed to solve: ${messageOf(error)}`;
}

function failedSteps(trace: BuildTrace): string {
  const failed = [...trace.steps.values()].filter(({ error }) => error !== "" && !/context canceled$/.test(error));
  const blocks = failed.map(({ name, lines }) => {
    const said = lines.map(({ seconds, text }) => `${formatSeconds(seconds)} ${text}\n`).join("");
    return `------\n > ${name}:\n${said}`;
  });
  return blocks.length === 0 ? "" : `${blocks.join("")}------\n`;
}

function sourcesOf(error: unknown): Source[] {
  const details = error instanceof HullError ? error.facts[DETAILS_FACT] : undefined;
  if (typeof details !== "string") return [];
  const status = fromBinary(StatusSchema, Buffer.from(details, "base64"));
  return status.details
    .filter(({ typeUrl }) => typeUrl.endsWith("errdefs.Source+json"))
    .map(({ value }) => fromJsonString(SourceSchema, Buffer.from(value).toString()));
}

/** What buildx prints of the warnings of a build; "" without any. `whole`: with their reasons, pages and lines. */
export function warningsReport({ warnings }: BuildTrace, whole: boolean): string {
  if (warnings.length === 0) return "";
  const count = warnings.length === 1 ? "1 warning" : `${warnings.length} warnings`;
  const lines = warnings.map((warning) => ` - ${Buffer.from(warning.short)}\n${whole ? detailsOf(warning) : ""}`);
  return `\n ${count} found${whole ? "" : " (use --debug to expand)"}:\n${lines.join("")}`;
}

function detailsOf({ detail, url, info, ranges }: VertexWarning): string {
  const page = url === "" ? "" : `More info: ${url}\n`;
  const place = info ? excerpt(create(SourceSchema, { info, ranges })) : "";
  return `${detail.map((text) => `${Buffer.from(text)}\n`).join("")}${page}${place}\n`;
}

/** The lines of a place, those around it, and marks. */
export function excerpt({ info, ranges }: Source): string {
  if (!info || ranges.length === 0) return "";
  const lines = Buffer.from(info.data).toString().split("\n");
  const first = Math.min(...ranges.map(({ start }) => start?.line ?? 1));
  const last = Math.max(...ranges.map(({ start, end }) => end?.line ?? start?.line ?? 1));
  const around = Math.max(0, Math.floor((AROUND_LINES - (last - first)) / 2));
  const [from, to] = [Math.max(1, first - around), Math.min(lines.length, last + around)];
  const width = 4;
  const shown = lines.slice(from - 1, to).map((text, index) => {
    const line = from + index;
    const mark = line >= first && line <= last ? ">>>" : "   ";
    return `${String(line).padStart(width)} | ${mark} ${text}\n`;
  });
  return `${info.filename}:${first}\n${RULE}\n${shown.join("")}${RULE}\n`;
}
