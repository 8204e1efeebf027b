/** Filters of the history: "status==error", "ref~=abc", "startedAt>=48h", "duration<=1m"; commas join what must all hold, a list is any of them. */
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { HullError } from "../../platform/errors.ts";
import type { BuildHistoryRecord } from "../gen/moby/buildkit/v1/control_pb.ts";

type Matches = (record: BuildHistoryRecord) => boolean;

const bad = (filter: string): HullError =>
  new HullError("invalid-argument", `invalid filter ${JSON.stringify(filter)} for builds`);

/** Throws invalid-argument. */
export function parseHistoryFilters(filters: readonly string[], nowMs = Date.now()): Matches {
  if (filters.length === 0) return () => true;
  const groups = filters.map((text) => text.split(",").map((part) => parsePart(part, nowMs)));
  return (record) => groups.some((group) => group.every((matches) => matches(record)));
}

function parsePart(text: string, nowMs: number): Matches {
  const [, key, operator, value] = /^"?(\w+)(==|~=|!=|<=|>=|<|>|=)(.*?)"?$/.exec(text) ?? [];
  if (key === undefined || operator === undefined || value === undefined) throw bad(text);
  if (key === "ref" || key === "status" || key === "repository") {
    const of = textOf[key];
    if (operator === "~=") return (record) => of(record).includes(value);
    if (operator === "!=") return (record) => of(record) !== value;
    if (operator === "==" || operator === "=") return (record) => of(record) === value;
    throw bad(text);
  }
  if (key === "duration") return compared(operator, durationMs(value, text), (record) => tookMs(record, nowMs));
  const time = key === "startedAt" ? startedMs : key === "completedAt" ? completedMs : undefined;
  if (!time) throw bad(text);
  return compared(operator, instantMs(value, text, nowMs), time);
}

const textOf: Readonly<Record<"ref" | "status" | "repository", (record: BuildHistoryRecord) => string>> = {
  ref: ({ Ref }) => Ref,
  status: statusOf,
  repository: ({ FrontendAttrs }) => FrontendAttrs["vcs:source"] ?? FrontendAttrs.context ?? "",
};

const CANCELLED = 1;

export function statusOf({ CompletedAt, error }: BuildHistoryRecord): "running" | "completed" | "error" | "canceled" {
  if (error) return error.code === CANCELLED ? "canceled" : "error";
  return CompletedAt ? "completed" : "running";
}

const msOf = (time: Timestamp | undefined): number | undefined => time && timestampMs(time);
const startedMs = ({ CreatedAt }: BuildHistoryRecord): number | undefined => msOf(CreatedAt);
const completedMs = ({ CompletedAt }: BuildHistoryRecord): number | undefined => msOf(CompletedAt);
const tookMs = (record: BuildHistoryRecord, nowMs: number): number =>
  (completedMs(record) ?? nowMs) - (startedMs(record) ?? nowMs);

function compared(operator: string, limit: number, of: (record: BuildHistoryRecord) => number | undefined): Matches {
  return (record) => {
    const value = of(record);
    if (value === undefined) return false;
    if (operator === "<") return value < limit;
    if (operator === "<=") return value <= limit;
    return operator === ">" ? value > limit : value >= limit;
  };
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function durationMs(value: string, filter: string): number {
  const parts = [...value.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)];
  if (parts.length === 0 || parts.map(([part]) => part).join("") !== value) throw bad(filter);
  return parts.reduce((sum, [, number, unit]) => sum + Number(number) * units[unit!]!, 0);
}

/** A time, or how long ago. */
function instantMs(value: string, filter: string, nowMs: number): number {
  if (/^[\d.]+(ms|s|m|h|d)/.test(value)) return nowMs - durationMs(value, filter);
  const time = Date.parse(value);
  if (Number.isNaN(time)) throw bad(filter);
  return time;
}
