/** Shows a build while it runs. */
import type { StatusResponse } from "../../../buildkit/gen/moby/buildkit/v1/control_pb.ts";
import type { BuildTrace } from "./trace.ts";

export type ProgressKind = "tty" | "plain" | "rawjson" | "quiet";

/** Lifecycle: created -> `take` in turn -> `end`. */
export interface Display {
  readonly trace: BuildTrace;
  take(status: StatusResponse): Promise<void>;
  /** Text of the command's own, in whole lines, between those of the build. Nothing for "". */
  say(text: string): Promise<void>;
  /** Nothing more comes. */
  end(): Promise<void>;
}
