/** TOML files, by the runtime's parser. */
import { HullError } from "./errors.ts";

/** What is used of Bun's API. */
declare const Bun: { TOML: { parse(text: string): object } };

/** Throws invalid-argument with the parser's reason; `path` is for the message. */
export function parseToml(path: string, text: string): Readonly<Record<string, unknown>> {
  try {
    return Bun.TOML.parse(text) as Record<string, unknown>;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new HullError("invalid-argument", `${path}: ${why}`, { cause: error });
  }
}
