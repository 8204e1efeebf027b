/** `--progress rawjson`: the daemon's messages as lines of JSON, as BuildKit's client writes them. */
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { StatusResponse } from "../../../buildkit/gen/moby/buildkit/v1/control_pb.ts";
import type { Display } from "./display.ts";
import { BuildTrace } from "./trace.ts";

export class RawJsonDisplay implements Display {
  readonly trace = new BuildTrace();

  constructor(private readonly write: (text: string) => Promise<void>) {}

  async take(status: StatusResponse): Promise<void> {
    this.trace.take(status);
    await this.write(`${JSON.stringify(statusJson(status))}\n`);
  }

  /** Everything that is said is the daemon's. */
  async say(): Promise<void> {}

  async end(): Promise<void> {}
}

const time = (value: Timestamp | undefined): string | undefined => {
  if (!value) return undefined;
  const whole = new Date(Number(value.seconds) * 1000).toISOString().slice(0, 19);
  const fraction = String(value.nanos).padStart(9, "0").replace(/0+$/, "");
  return `${whole}${fraction === "" ? "" : `.${fraction}`}Z`;
};
const some = <T>(list: readonly T[]): readonly T[] | undefined => (list.length === 0 ? undefined : list);
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");

function statusJson({ vertexes, statuses, logs, warnings }: StatusResponse) {
  return {
    vertexes: some(
      vertexes.map((one) => ({
        digest: one.digest,
        inputs: some(one.inputs),
        name: one.name,
        started: time(one.started),
        completed: time(one.completed),
        cached: one.cached || undefined,
        error: one.error || undefined,
      })),
    ),
    statuses: some(
      statuses.map((one) => ({
        id: one.ID,
        vertex: one.vertex,
        name: one.name || undefined,
        total: Number(one.total) || undefined,
        current: Number(one.current),
        timestamp: time(one.timestamp),
        started: time(one.started),
        completed: time(one.completed),
      })),
    ),
    logs: some(
      logs.map((one) => ({
        vertex: one.vertex,
        stream: Number(one.stream),
        data: base64(one.msg),
        timestamp: time(one.timestamp),
      })),
    ),
    warnings: some(
      warnings.map((one) => ({
        vertex: one.vertex,
        level: Number(one.level),
        short: base64(one.short),
        detail: some(one.detail.map(base64)),
        url: one.url || undefined,
      })),
    ),
  };
}
