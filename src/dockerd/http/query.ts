/** The query of a request by Docker's rules (moby api/server/httputils/form.go is the behaviour followed). */
import { HullError } from "../../platform/errors.ts";

export class Query {
  readonly #values: URLSearchParams;

  constructor(text: string) {
    this.#values = new URLSearchParams(text);
  }

  /** As a query again. */
  toString(): string {
    return this.#values.toString();
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  /** The first value, "" when absent. */
  text(name: string): string {
    return this.#values.get(name) ?? "";
  }

  list(name: string): string[] {
    return this.#values.getAll(name);
  }

  /** "", 0, no, false and none are false (in any case); everything else is true. */
  bool(name: string, absent = false): boolean {
    const value = this.#values.get(name);
    if (value === null) return absent;
    return !["", "0", "no", "false", "none"].includes(value.trim().toLowerCase());
  }

  /** A decimal integer; undefined when absent or empty. Throws invalid-argument in Go's words. */
  integer(name: string): number | undefined {
    const value = this.#values.get(name);
    if (value === null || value === "") return undefined;
    if (!/^[+-]?\d{1,18}$/.test(value)) {
      throw new HullError("invalid-argument", `strconv.ParseInt: parsing ${JSON.stringify(value)}: invalid syntax`);
    }
    return Number(value);
  }
}
