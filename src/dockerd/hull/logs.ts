/** GET /hull/v1/logs: what the daemons said, from their rotated files, in order of time. */
import { createReadStream, existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { HullError } from "../../platform/errors.ts";
import { logFile } from "../../platform/log.ts";
import { parseInstant } from "../http/instant.ts";
import type { ApiRequest } from "../http/request.ts";
import type { ApiResponse } from "../http/response.ts";
import type { Route } from "../http/route.ts";
import { parseTimeNs } from "../time.ts";

const daemons = ["hulld", "hull-containerd", "hull-netd", "hull-buildkitd"];
const KEPT_FILES = 3;
const MAX_TAIL = 100_000;

export const logRoutes = (dataRoot: string): readonly Route[] => [
  {
    method: "GET",
    path: "/hull/v1/logs",
    untraced: true,
    handler: (request, response) => answer(dataRoot, request, response),
  },
];

async function answer(dataRoot: string, request: ApiRequest, response: ApiResponse): Promise<void> {
  const { query } = request;
  const asked = query.text("daemon");
  if (asked !== "" && !daemons.includes(asked)) {
    throw new HullError("not-found", `no daemon ${asked}: there are ${daemons.join(", ")}`);
  }
  const since = parseInstant(query.text("since")) ?? 0n;
  const tail = query.integer("tail");
  const sources = (asked === "" ? daemons : [asked]).map((name) => entries(dataRoot, name, since));
  const lines = formatted(merged(sources), asked === "");
  const body = response.stream(200, "text/plain; charset=utf-8");
  for await (const line of tail === undefined ? lines : lastOf(lines, Math.min(tail, MAX_TAIL))) await body.write(line);
}

interface Entry {
  readonly daemon: string;
  readonly atNs: bigint;
  readonly line: string;
}

/** Lines from `since` on, oldest first. A line without a time (a stack trace) belongs to the one before it. */
async function* entries(dataRoot: string, daemon: string, since: bigint): AsyncGenerator<Entry> {
  const path = logFile(dataRoot, daemon);
  const files = Array.from({ length: KEPT_FILES }, (_, i) => (i === 0 ? path : `${path}.${i}`)).reverse();
  let atNs = 0n;
  for (const file of files.filter((name) => existsSync(name))) {
    for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })) {
      atNs = timeOf(line) ?? atNs;
      if (atNs >= since) yield { daemon, atNs, line };
    }
  }
}

function timeOf(line: string): bigint | undefined {
  const match = /^(?:time=|\{"time":")([0-9TZ:.+-]+)/.exec(line);
  return match ? parseTimeNs(match[1]!) : undefined;
}

/** Several ordered sources as one. */
async function* merged(sources: readonly AsyncGenerator<Entry>[]): AsyncGenerator<Entry> {
  const heads = await Promise.all(sources.map(async (source) => ({ source, next: await source.next() })));
  for (;;) {
    const live = heads.filter((head) => !head.next.done);
    if (live.length === 0) return;
    const first = live.reduce((a, b) => (b.next.value!.atNs < a.next.value!.atNs ? b : a));
    yield first.next.value as Entry;
    first.next = await first.source.next();
  }
}

async function* formatted(list: AsyncGenerator<Entry>, withNames: boolean): AsyncGenerator<string> {
  for await (const { daemon, line } of list) yield withNames ? `${daemon.padEnd(15)} ${line}\n` : `${line}\n`;
}

async function* lastOf(lines: AsyncGenerator<string>, count: number): AsyncGenerator<string> {
  const kept: string[] = [];
  for await (const line of lines) {
    kept.push(line);
    if (kept.length > count) kept.shift();
  }
  yield* kept;
}
