/** `--progress plain`: BuildKit's text, a step's lines together while it is the one that is shown. */
import type { StatusResponse } from "../../../buildkit/gen/moby/buildkit/v1/control_pb.ts";
import type { Display } from "./display.ts";
import { BuildTrace, formatSeconds, formatStatus, isRunning, type Step } from "./trace.ts";

/** A step that says much is shown in the place of one that has been silent this long. */
const PATIENCE_MS = 5_000;

export class PlainDisplay implements Display {
  readonly trace = new BuildTrace();
  #current = "";
  #shownAtMs = 0;
  #isFirst = true;
  #shown = 0;
  /** How many of a step's lines were printed, and of its last line how much. */
  readonly #printed = new Map<string, { lines: number; offset: number; warnings: number }>();
  readonly #waiting = new Set<string>();
  #text = "";

  constructor(
    private readonly write: (text: string) => Promise<void>,
    private readonly nowMs: () => number = Date.now,
    title?: string,
  ) {
    if (title !== undefined) {
      this.#text = `#0 ${title}\n`;
      this.#isFirst = false;
    }
  }

  async take(status: StatusResponse): Promise<void> {
    for (const digest of this.trace.take(status)) this.#waiting.add(digest);
    this.#print();
    await this.#flush();
  }

  async say(text: string): Promise<void> {
    if (text === "") return;
    this.#text += `${this.#isFirst ? "" : "\n"}${text}`;
    await this.#flush();
  }

  async end(): Promise<void> {
    const waiting = [...this.#waiting].map((digest) => this.trace.steps.get(digest)!);
    for (const step of waiting) if (step.startedMs !== undefined) this.#show(step);
    await this.#flush();
  }

  async #flush(): Promise<void> {
    const text = this.#text;
    this.#text = "";
    if (text !== "") await this.write(text);
  }

  #print(): void {
    const steps = [...this.#waiting].map((digest) => this.trace.steps.get(digest)!);
    const ended = steps.filter(({ completedMs }) => completedMs !== undefined).sort((a, b) => a.index - b.index);
    const others = steps.filter(({ completedMs, startedMs }) => completedMs === undefined && startedMs !== undefined);
    const current = this.#current;
    for (const step of ended.filter(({ digest }) => digest === current)) this.#show(step);
    for (const step of ended.filter(({ digest }) => digest !== current)) this.#show(step);
    const shown = others.find(({ digest }) => digest === this.#current);
    if (shown) this.#show(shown);
    const isQuiet = this.nowMs() - this.#shownAtMs > PATIENCE_MS;
    if (this.#current !== "" && !isQuiet) return;
    const next = others.find(({ digest }) => digest !== this.#current) ?? this.#anyRunning();
    if (next) this.#show(next);
  }

  #anyRunning(): Step | undefined {
    return this.#current === "" ? [...this.trace.steps.values()].find(isRunning) : undefined;
  }

  #show(step: Step): void {
    this.#waiting.delete(step.digest);
    const printed = this.#printed.get(step.digest) ?? { lines: 0, offset: 0, warnings: 0 };
    this.#printed.set(step.digest, printed);
    if (step.digest !== this.#current) this.#switchTo(step);
    this.#shownAtMs = this.nowMs();
    let isOpen = false;
    for (const id of step.changedStatuses) {
      const status = step.statuses.get(id)!;
      isOpen ||= status.completedMs === undefined;
      this.#text += `#${step.index} ${formatStatus(status, this.nowMs())}\n`;
    }
    step.changedStatuses.clear();
    for (const { short } of step.warnings.slice(printed.warnings))
      this.#text += `#${step.index} WARN: ${Buffer.from(short)}\n`;
    printed.warnings = step.warnings.length;
    this.#showLines(step, printed);
    this.#current = step.digest;
    if (step.completedMs !== undefined && !isOpen) this.#showEnd(step);
  }

  #switchTo(step: Step): void {
    if (step.index === 0) step.index = ++this.#shown;
    const old = this.trace.steps.get(this.#current);
    if (old) {
      const printed = this.#printed.get(old.digest)!;
      if (printed.offset > 0) this.#text += "\n";
      printed.offset = 0;
      this.#text += `#${old.index} ...\n`;
    }
    this.#text += `${this.#isFirst ? "" : "\n"}#${step.index} ${step.name}\n`;
    this.#isFirst = false;
  }

  #showLines(step: Step, printed: { lines: number; offset: number }): void {
    for (; printed.lines < step.lines.length; printed.lines++) {
      const { seconds, text } = step.lines[printed.lines]!;
      const line = `#${step.index} ${formatSeconds(seconds)} ${text}`;
      this.#text += line.slice(printed.offset);
      if (step.partial && printed.lines === step.lines.length - 1) {
        printed.offset = line.length;
        return;
      }
      this.#text += "\n";
      printed.offset = 0;
    }
    // What is printed is not needed any more, but for the end of a step that fails.
    if (step.lines.length > 100) printed.lines -= step.lines.splice(0, step.lines.length - 100).length;
  }

  #showEnd(step: Step): void {
    this.#current = "";
    const { index, error, cached, startedMs, completedMs } = step;
    if (error !== "" && step.partial) this.#text += "\n";
    if (/context canceled$/.test(error)) this.#text += `#${index} CANCELED\n`;
    else if (error !== "") this.#text += `#${index} ERROR: ${error}\n`;
    else if (cached) this.#text += `#${index} CACHED\n`;
    else this.#text += `#${index} DONE ${((completedMs! - (startedMs ?? completedMs!)) / 1000).toFixed(1)}s\n`;
  }
}
