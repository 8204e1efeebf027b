/** The command line of hull-containerd. */
import { parseArgs } from "node:util";
import { HullError } from "../platform/errors.ts";
import { type LogLevel, logLevels } from "../platform/log.ts";
import { keelPath } from "../platform/paths.ts";

export interface DaemonOptions {
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly keel: string;
  readonly logLevel: LogLevel;
  /** File of settings for registries; "": the defaults. */
  readonly registries: string;
}

export const usage = `Usage: hull-containerd [OPTIONS]

Images, snapshots, containers and tasks; containerd's gRPC API on <exec-root>/containerd/containerd.sock.

  --data-root DIR    persistent state (default /var/lib/hull)
  --exec-root DIR    state of what runs (default /run/hull)
  --keel PATH        the keel executable (default beside this one)
  --registries FILE  settings of registries (JSON), read at each use
  --log-level LEVEL  ${logLevels.join(", ")} (default info)
`;

/** Throws `invalid-argument`; undefined: help was asked for. */
export function parseOptions(argv: readonly string[]): DaemonOptions | undefined {
  let values: { [K in "data-root" | "exec-root" | "keel" | "log-level" | "registries"]?: string } & { help?: boolean };
  try {
    const text = { type: "string" } as const;
    values = parseArgs({
      args: [...argv],
      options: {
        "data-root": text,
        "exec-root": text,
        keel: text,
        "log-level": text,
        registries: text,
        help: { type: "boolean", short: "h" },
      },
    }).values;
  } catch (error) {
    throw new HullError("invalid-argument", error instanceof Error ? error.message : String(error), { cause: error });
  }
  if (values.help) return undefined;
  const level = values["log-level"] ?? "info";
  if (!logLevels.includes(level as LogLevel))
    throw new HullError("invalid-argument", `--log-level: unknown level ${level}`);
  return {
    dataRoot: absolute("--data-root", values["data-root"] ?? "/var/lib/hull"),
    execRoot: absolute("--exec-root", values["exec-root"] ?? "/run/hull"),
    keel: values.keel ?? keelPath(),
    logLevel: level as LogLevel,
    registries: values.registries === undefined ? "" : absolute("--registries", values.registries),
  };
}

function absolute(flag: string, path: string): string {
  if (!path.startsWith("/")) throw new HullError("invalid-argument", `${flag} must be an absolute path, not ${path}`);
  return path.length > 1 ? path.replace(/\/+$/, "") : path;
}
