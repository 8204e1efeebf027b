/** What a command works with: the state root and where its messages go. */

import { appendFileSync } from "node:fs";
import { HullError } from "../../platform/errors.ts";
import { writeNow } from "../../platform/standard-output.ts";
import type { ParsedFlags } from "./flags.ts";

export interface CliContext {
  /** Directory of one directory per container. */
  readonly root: string;
  readonly flags: ParsedFlags;
  readonly log: CliLog;
  /** Says an error where callers look for it. */
  readonly fail: (message: string) => void;
}

export interface CliCommand {
  readonly usage: string;
  readonly about: string;
  readonly flags: import("./flags.ts").FlagShapes;
  /** Least and most arguments. */
  readonly arguments: readonly [number, number];
  run(context: CliContext): Promise<number>;
}

export type LogLevel = "debug" | "warning" | "error";

export interface CliLog {
  write(level: LogLevel, message: string): void;
  /** True when messages go to a file: an error is then said on stderr too. */
  readonly toFile: boolean;
}

/** Lines as runc's callers read them: `{"level":"error","msg":"...","time":"..."}`, or key=value text. */
export function openCliLog(file: string | undefined, format: string, debug: boolean): CliLog {
  if (format !== "text" && format !== "json") throw new HullError("invalid-argument", `invalid log-format: ${format}`);
  const line = (level: LogLevel, message: string): string => {
    const time = new Date().toISOString().replace(/\.\d+Z$/, "Z");
    if (format === "json") return `${JSON.stringify({ level, msg: message, time })}\n`;
    return `time="${time}" level=${level} msg=${JSON.stringify(message)}\n`;
  };
  const toFile = file !== undefined && file !== "";
  return {
    toFile,
    write(level, message) {
      if (level === "debug" && !debug) return;
      if (toFile) appendFileSync(file, line(level, message), { mode: 0o644 });
      else writeNow("stderr", line(level, message));
    },
  };
}
