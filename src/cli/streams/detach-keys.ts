/** Sees that the user typed the detach keys. The engine acts on them; this only tells "detached" from "ended". */
const CTRL_P_CTRL_Q = "ctrl-p,ctrl-q";

export class DetachWatch {
  readonly #keys: readonly number[];
  #matched = 0;

  /** The engine has refused malformed keys by now. */
  constructor(keys: string | undefined) {
    this.#keys = (keys || CTRL_P_CTRL_Q)
      .split(",")
      .map((key) => (key.length === 1 ? key.charCodeAt(0) : key.slice(-1).toUpperCase().charCodeAt(0) & 0x1f));
  }

  /** True once the whole sequence has been typed. */
  saw(typed: Uint8Array): boolean {
    for (const byte of typed) {
      if (this.#matched === this.#keys.length) break;
      this.#matched = byte === this.#keys[this.#matched] ? this.#matched + 1 : byte === this.#keys[0] ? 1 : 0;
    }
    return this.#matched === this.#keys.length;
  }
}
