/** The key sequence that detaches a terminal from its container. Pure. */
import { HullError } from "../../../platform/errors.ts";

const CTRL_P = 16;
const CTRL_Q = 17;
export const defaultDetachKeys: readonly number[] = [CTRL_P, CTRL_Q];

/** "ctrl-p,ctrl-q", "a,b". Empty: the default. Throws invalid-argument in Docker's words. */
export function parseDetachKeys(text: string): readonly number[] {
  if (text === "") return defaultDetachKeys;
  return text.split(",").map((key) => {
    if (key.length === 1) return key.charCodeAt(0);
    const control = /^ctrl-([a-z@[\\\]^_])$/.exec(key.toLowerCase());
    if (!control) throw new HullError("invalid-argument", `Invalid detach keys (${text}) provided`);
    return control[1]!.toUpperCase().charCodeAt(0) & 0x1f;
  });
}

export interface Scanned {
  /** What goes on to the process. */
  readonly pass: Buffer;
  readonly detached: boolean;
}

/** Watches what is typed. A half-typed sequence is held back until it is complete or broken. */
export class DetachScanner {
  #matched = 0;

  constructor(private readonly keys: readonly number[]) {}

  push(bytes: Buffer): Scanned {
    const pass: number[] = [];
    for (const byte of bytes) {
      if (byte !== this.keys[this.#matched]) {
        pass.push(...this.keys.slice(0, this.#matched));
        this.#matched = byte === this.keys[0] ? 1 : 0;
        if (this.#matched === 0) pass.push(byte);
      } else this.#matched++;
      if (this.#matched === this.keys.length) return { pass: Buffer.from(pass), detached: true };
    }
    return { pass: Buffer.from(pass), detached: false };
  }
}
