/**
 * What a daemon says: levelled lines to stderr and to a rotated file below the data root
 * (`<data-root>/logs/<daemon>.log`, which `hull system logs` reads). A line is `time=... level=... msg="..." key=value`,
 * or one JSON object.
 */
import { join } from "node:path";
import { messageOf } from "./errors.ts";
import { RotatedFile } from "./rotated-file.ts";

export const logLevels = ["debug", "info", "warn", "error", "fatal"] as const;
export type LogLevel = (typeof logLevels)[number];
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A log whose lines all carry these fields (a trace id, a container id). */
  with(fields: LogFields): Log;
  /** From now on, lines below this level are dropped. Holds for every log made by `with` too. */
  setLevel(level: LogLevel): void;
}

export interface LogOptions {
  readonly level?: LogLevel;
  readonly format?: "text" | "json";
  /** Where the file goes; without it only stderr is written. */
  readonly dataRoot?: string;
  /** File name without extension: the daemon's name. */
  readonly name: string;
}

/** The daemon's log file. */
export const logFile = (dataRoot: string, daemon: string): string => join(dataRoot, "logs", `${daemon}.log`);

/** Opens the log. A file that cannot be opened or written is said once on stderr; the daemon goes on without it. */
export function openLog(options: LogOptions): Log {
  const sinks: ((line: string) => void)[] = [];
  // A supervised daemon's stderr is a plain file for crashes: its log goes to the rotated file only.
  if (process.env.HULL_LOG !== "file" || options.dataRoot === undefined)
    sinks.push((line) => process.stderr.write(line));
  if (options.dataRoot !== undefined) sinks.push(fileSink(logFile(options.dataRoot, options.name)));
  const threshold = { level: options.level ?? "info" };
  const format = options.format === "json" ? formatJson : formatText;
  const emit = (line: LogLine): void => {
    for (const sink of sinks) sink(format(line));
  };
  return levelled({ threshold, emit }, {});
}

function fileSink(path: string): (line: string) => void {
  let file: RotatedFile | undefined;
  try {
    file = new RotatedFile({ path });
  } catch (error) {
    process.stderr.write(`no log file ${path}: ${messageOf(error)}\n`);
  }
  let said = false;
  return (line) => {
    try {
      file?.write(line);
      said = false;
    } catch (error) {
      if (!said) process.stderr.write(`log file ${path}: ${messageOf(error)}\n`);
      said = true; // The lines until there is room again are lost.
    }
  };
}

export interface LogLine {
  readonly time: Date;
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: LogFields;
}

interface Output {
  readonly threshold: { level: LogLevel };
  readonly emit: (line: LogLine) => void;
}

function levelled(output: Output, fixed: LogFields): Log {
  const at = (level: LogLevel) => (message: string, fields?: LogFields) => {
    if (logLevels.indexOf(level) < logLevels.indexOf(output.threshold.level)) return;
    output.emit({ time: new Date(), level, message, fields: { ...fixed, ...fields } });
  };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    with: (fields) => levelled(output, { ...fixed, ...fields }),
    setLevel: (level) => {
      output.threshold.level = level;
    },
  };
}

/** `time=2026-01-02T03:04:05.678Z level=info msg="..." key=value` and a newline. */
export function formatText(line: LogLine): string {
  const fields = Object.entries(line.fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}=${quoted(String(value))}`);
  return `time=${line.time.toISOString()} level=${line.level} msg=${JSON.stringify(line.message)}${fields.join("")}\n`;
}

const quoted = (text: string): string => (/^[^\s"=\\]+$/.test(text) ? text : JSON.stringify(text));

export function formatJson(line: LogLine): string {
  return `${JSON.stringify({ time: line.time.toISOString(), level: line.level, msg: line.message, ...line.fields })}\n`;
}
