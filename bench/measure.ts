/** Figures: whole processes and calls timed from outside, medians, percentiles. */
import { spawn } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";

export const RUNS = 20;

export function median(values: readonly number[]): number {
  return percentile(values, 50);
}

/** Nearest-rank percentile. */
export function percentile(values: readonly number[], rank: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((rank / 100) * sorted.length) - 1)] ?? Number.NaN;
}

const interruption = new AbortController();

/** Ctrl-C or SIGTERM ends the figures at the next command, so that engine and peer are disposed of; once more ends the bench at once. */
export function endWhenInterrupted(): void {
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.once(signal, () => interruption.abort(new Error(`ended by ${signal}`)));
}

/** Throws when the bench was interrupted. */
export const pause = (timeMs: number): Promise<void> => delay(timeMs, undefined, { signal: interruption.signal });

export interface TimedCommand {
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** Milliseconds from fork to exit of one whole process. Throws when it fails. */
export function timeProcess({ command, env, cwd }: TimedCommand): Promise<number> {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const child = spawn(command[0]!, command.slice(1), {
      env: { ...process.env, ...env },
      cwd,
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    child.stderr.on("data", (chunk) => {
      said += chunk;
    });
    child.on("error", reject);
    child.on("exit", (code) => {
      const took = performance.now() - started;
      if (code === 0) resolve(took);
      else reject(new Error(`${command.join(" ")} ended with ${code}: ${said}`));
    });
  });
}

const SETTLE_MS = 300;

/** What a run leaves to be cleaned up behind its answer is over after this, in every engine: it belongs to no other's run. */
export const settle = (): Promise<void> => pause(SETTLE_MS);

/** Medians of several commands, run in turn (A B A B ...), so that drift of the machine meets all alike. One warm-up each. */
export async function mediansInTurn(commands: readonly TimedCommand[], runs = RUNS): Promise<number[]> {
  const times = commands.map(() => [] as number[]);
  for (const command of commands) await timeProcess(command);
  for (let i = 0; i < runs; i++) {
    for (const [at, command] of commands.entries()) {
      await settle();
      times[at]!.push(await timeProcess(command));
    }
  }
  return times.map(median);
}
