/** --log-driver and --log-opt: which file, how big, how many. Default: 3 files of 20 MB. */
import { HullError } from "../../platform/errors.ts";
import type { HostConfig } from "./config.ts";
import { verifyLogAttributes } from "./logs/attributes.ts";
import { type ContainerRecord, logPathOf } from "./record.ts";

const DEFAULT_BYTES = 20 * 1000 * 1000;
const DEFAULT_FILES = 3;

export interface LogFileSettings {
  readonly path: string;
  readonly maxBytes: number;
  readonly maxFiles: number;
}

type LogConfig = HostConfig["LogConfig"];

const options = new Set([
  "max-size",
  "max-file",
  "compress",
  "labels",
  "labels-regex",
  "env",
  "env-regex",
  "tag",
  "mode",
  "max-buffer-size",
]);
const invalid = (message: string): HullError => new HullError("invalid-argument", message);

/** Throws invalid-argument in Docker's words. */
export function verifyLogConfig({ Type: type, Config: config }: LogConfig): void {
  if (!["json-file", "local", "none"].includes(type))
    throw invalid(`error looking up logging plugin ${type}: plugin "${type}" not found`);
  if (type === "none") return;
  for (const name of Object.keys(config))
    if (!options.has(name)) throw invalid(`unknown log opt '${name}' for ${type} log driver`);
  const { mode } = config;
  if (mode !== undefined && !["blocking", "non-blocking"].includes(mode))
    throw invalid(`logger: logging mode not supported: ${mode}`);
  sizeOf(config);
  filesOf(config);
  verifyLogAttributes(config);
}

/** undefined for the driver none: nothing is kept. */
export function logFileOf(record: ContainerRecord): LogFileSettings | undefined {
  const { Type: type, Config: config } = record.hostConfig.LogConfig;
  if (type === "none") return undefined;
  return { path: logPathOf(record), maxBytes: sizeOf(config), maxFiles: filesOf(config) };
}

const units: Readonly<Record<string, number>> = { "": 1, b: 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12 };

/** -1 (as in Docker) is no limit: 0. */
function sizeOf(config: LogConfig["Config"]): number {
  const text = config["max-size"];
  if (text === undefined || text === "") return DEFAULT_BYTES;
  if (text === "-1") return 0;
  const match = /^(\d+(?:\.\d+)?)\s*([bkmgt]?)(?:i?b)?$/i.exec(text);
  const bytes = match ? Math.floor(Number(match[1]) * units[match[2]!.toLowerCase()]!) : 0;
  if (bytes <= 0) throw invalid(`invalid value for max-size: invalid size: '${text}'`);
  return bytes;
}

function filesOf(config: LogConfig["Config"]): number {
  const text = config["max-file"];
  if (text === undefined || text === "") return DEFAULT_FILES;
  if (!/^\d{1,6}$/.test(text)) throw invalid(`strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`);
  if (Number(text) < 1) throw invalid("max-file cannot be less than 1");
  return Number(text);
}
