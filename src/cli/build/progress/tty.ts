/** `--progress tty`: the steps, redrawn in place; of those that run the last lines of their output. */
import type { StatusResponse } from "../../../buildkit/gen/moby/buildkit/v1/control_pb.ts";
import type { TerminalSize } from "../../streams/terminal.ts";
import type { Display } from "./display.ts";
import { BuildTrace, formatStatus, isRunning, type Step } from "./trace.ts";

const REDRAW_MS = 100;
/** Lines of output under a step that runs. */
const OUTPUT_LINES = 6;

export interface TtyOptions {
  readonly write: (text: string) => Promise<void>;
  readonly size: () => TerminalSize;
  readonly nowMs?: () => number;
  /** What is built where: "docker:default". */
  readonly place: string;
  readonly colors: boolean;
}

export class TtyDisplay implements Display {
  readonly trace = new BuildTrace();
  readonly #startedMs: number;
  readonly #nowMs: () => number;
  readonly #timer: NodeJS.Timeout;
  #drawnLines = 0;
  #drawnAtMs = 0;

  constructor(private readonly options: TtyOptions) {
    this.#nowMs = options.nowMs ?? Date.now;
    this.#startedMs = this.#nowMs();
    this.#timer = setInterval(() => void this.#draw(false).catch(() => undefined), REDRAW_MS);
  }

  async take(status: StatusResponse): Promise<void> {
    this.trace.take(status);
    if (this.#nowMs() - this.#drawnAtMs >= REDRAW_MS) await this.#draw(false);
  }

  /** Above the steps, where it stays. */
  async say(text: string): Promise<void> {
    if (text === "") return;
    const up = this.#drawnLines > 0 ? `\x1b[${this.#drawnLines}A` : "";
    this.#drawnLines = 0;
    await this.options.write(`${up}\r\x1b[0J${text}`);
    await this.#draw(false);
  }

  async end(): Promise<void> {
    clearInterval(this.#timer);
    await this.#draw(true);
  }

  async #draw(isOver: boolean): Promise<void> {
    this.#drawnAtMs = this.#nowMs();
    const lines = this.#lines(isOver);
    const up = this.#drawnLines > 0 ? `\x1b[${this.#drawnLines}A` : "";
    // Lines that were there before and are not now are cleared.
    const text = `\x1b[?25l${up}${lines.map((line) => `\r\x1b[2K${line}\n`).join("")}\x1b[0J\x1b[?25h`;
    this.#drawnLines = lines.length;
    await this.options.write(text);
  }

  #lines(isOver: boolean): string[] {
    const { rows, columns } = this.options.size();
    const [height, width] = [rows || 24, columns || 80];
    const steps = [...this.trace.steps.values()].filter(({ startedMs }) => startedMs !== undefined);
    const ended = steps.filter(({ completedMs }) => completedMs !== undefined).length;
    const word = isOver && ended === steps.length ? "FINISHED" : "";
    const seconds = ((this.#nowMs() - this.#startedMs) / 1000).toFixed(1);
    const head = `[+] Building ${seconds}s (${ended}/${this.trace.steps.size})${word === "" ? "" : ` ${word}`}`;
    const body = steps.flatMap((step) => this.#stepLines(step, width));
    // What does not fit is left out at the top, and shown when the build is over.
    const fitting = isOver ? body : body.slice(-Math.max(1, height - 2));
    return [padded(head, this.options.place, width), ...fitting];
  }

  #stepLines(step: Step, width: number): string[] {
    const nowMs = this.#nowMs();
    const name = `${step.cached ? "CACHED " : step.error === "" ? "" : "ERROR "}${step.name}`;
    const spent = ((step.completedMs ?? nowMs) - step.startedMs!) / 1000;
    const time = `${Math.max(0, spent).toFixed(1)}s`;
    const line = this.#colored(step, padded(` => ${name}`, time, width));
    const statuses = [...step.statuses.values()].map((status) => {
      const took = ((status.completedMs ?? nowMs) - (status.startedMs ?? nowMs)) / 1000;
      const { completedMs: _, startedMs: __, ...bytes } = status;
      const text = formatStatus({ ...bytes, startedMs: undefined, completedMs: undefined }, nowMs);
      return padded(` => => ${text}`, `${took.toFixed(1)}s`, width);
    });
    const output = isRunning(step) ? step.lines.slice(-OUTPUT_LINES) : [];
    return [line, ...statuses, ...output.map(({ text }) => clipped(` => => # ${plainText(text)}`, width))];
  }

  #colored(step: Step, line: string): string {
    if (!this.options.colors) return line;
    if (step.error !== "") return `\x1b[31m${line}\x1b[0m`;
    return step.completedMs === undefined ? line : `\x1b[34m${line}\x1b[0m`;
  }
}

/** Escape sequences and tabs would break the layout. */
const plainText = (text: string): string =>
  text
    .slice(text.lastIndexOf("\r", text.length - 2) + 1)
    .replace(/\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f]/g, "")
    .replaceAll("\t", "  ");

const clipped = (text: string, width: number): string => (text.length <= width ? text : text.slice(0, width));

function padded(left: string, right: string, width: number): string {
  const room = Math.max(10, width - right.length - 1);
  const shown = left.length > room ? `${left.slice(0, room - 3)}...` : left.padEnd(room);
  return `${shown} ${right}`;
}
