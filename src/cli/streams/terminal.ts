/** The user's terminal: raw mode while attached, its size, changes of its size. */
import { isTerminal } from "../../platform/standard-output.ts";

export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}

export const stdinIsTerminal = (): boolean => isTerminal("stdin");
export const stdoutIsTerminal = (): boolean => isTerminal("stdout");

export function terminalSize(): TerminalSize {
  return { rows: process.stdout.rows ?? 0, columns: process.stdout.columns ?? 0 };
}

/** Raw mode until disposed; does nothing when stdin is no terminal. */
export function rawMode(): Disposable {
  if (!stdinIsTerminal()) return { [Symbol.dispose]: () => undefined };
  process.stdin.setRawMode(true);
  return {
    [Symbol.dispose]: () => {
      process.stdin.setRawMode(false);
    },
  };
}

/** Calls back now and at each change of size until disposed. */
export function followSize(resized: (size: TerminalSize) => void): Disposable {
  const tell = () => resized(terminalSize());
  tell();
  process.stdout.on("resize", tell);
  return {
    [Symbol.dispose]: () => {
      process.stdout.off("resize", tell);
    },
  };
}
