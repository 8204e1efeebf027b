/** GET /containers/{id}/logs: which lines, and how each is written. */
import { HullError } from "../../../platform/errors.ts";
import type { ApiRequest } from "../../http/request.ts";
import { parseTimeNs } from "../../time.ts";
import type { Container } from "../container.ts";
import { logFileOf } from "../log-config.ts";
import { logAttributes } from "../logs/attributes.ts";
import { fixedWidthTime } from "../logs/parse.ts";
import { type LogWish, readLog } from "../logs/read.ts";
import type { ContainerRecord } from "../record.ts";
import { isActive } from "../state.ts";
import { frame } from "./multiplex.ts";

export interface LogRequest {
  readonly wish: LogWish;
  readonly timestamps: boolean;
  /** Written before each line; empty without --details. */
  readonly details: string;
}

/** Throws invalid-argument in Docker's words. */
export function parseLogRequest(request: ApiRequest, container: Container): LogRequest {
  const { query, signal } = request;
  const stdout = query.bool("stdout");
  const stderr = query.bool("stderr");
  if (!stdout && !stderr)
    throw new HullError("invalid-argument", "Bad parameters: you must choose at least one stream");
  const file = logFileOf(container.record);
  if (!file) throw new HullError("unimplemented", "configured logging driver does not support reading");
  const follows = query.bool("follow") && (isActive(container.state) || container.state.kind === "restarting");
  const wish: LogWish = {
    path: file.path,
    maxFiles: file.maxFiles,
    tail: tailOf(query.text("tail")),
    sinceNs: timeOf(query.text("since"), "since"),
    untilNs: timeOf(query.text("until"), "until"),
    stdout,
    stderr,
    until: follows
      ? Promise.race([container.wait("not-running", signal), container.wait("removed", signal)])
      : undefined,
    signal,
  };
  return {
    wish,
    timestamps: query.bool("timestamps"),
    details: query.bool("details") ? detailsOf(container.record) : "",
  };
}

/** "", "all" and negative numbers are everything. */
function tailOf(text: string): number | undefined {
  if (text === "" || text === "all") return undefined;
  const count = Number(text);
  return Number.isInteger(count) && count >= 0 ? count : undefined;
}

/** Unix seconds with a fraction, or RFC 3339; "" and 0 are none. */
function timeOf(text: string, name: string): bigint | undefined {
  if (text === "" || text === "0") return undefined;
  const seconds = /^(\d{1,12})(?:\.(\d{1,9})\d*)?$/.exec(text);
  if (seconds) return BigInt(seconds[1]!) * 1_000_000_000n + BigInt((seconds[2] ?? "").padEnd(9, "0"));
  const time = parseTimeNs(text);
  if (time === undefined) throw new HullError("invalid-argument", `invalid value for "${name}": ${text}`);
  return time;
}

export async function* logBytes(
  { wish, timestamps, details }: LogRequest,
  isTerminal: boolean,
): AsyncGenerator<Buffer> {
  for await (const line of readLog(wish)) {
    const time = timestamps ? `${fixedWidthTime(line.time)} ` : "";
    const bytes = Buffer.from(`${time}${details}${line.text}`);
    yield isTerminal ? bytes : frame(line.stream, bytes);
  }
}

/** "a=b,c=d ", each part encoded as in a query. */
function detailsOf(record: ContainerRecord): string {
  const pairs = Object.entries(logAttributes(record)).map((pair) => new URLSearchParams([pair]).toString());
  return `${pairs.sort().join(",")} `;
}
