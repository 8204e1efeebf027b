/** The comma separated `key=value` syntax of --mount and --network: fields may be quoted as in CSV (RFC 4180). */
import { HullError } from "../../platform/errors.ts";

export function parseCsvFields(text: string): string[] {
  const fields: string[] = [];
  let field = "";
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const letter = text[i]!;
    if (quoted && letter === '"' && text[i + 1] === '"') {
      field += '"';
      i++;
    } else if (letter === '"') quoted = !quoted;
    else if (letter === "," && !quoted) {
      fields.push(field);
      field = "";
    } else field += letter;
  }
  if (quoted)
    throw new HullError(
      "invalid-argument",
      `parse error on line 1, column ${text.length + 1}: extraneous or missing " in quoted-field`,
    );
  return [...fields, field];
}

/** Splits "key=value"; the value is undefined where there is no "=". Keys are lower case. */
export function splitPair(text: string): readonly [string, string | undefined] {
  const equals = text.indexOf("=");
  return equals < 0 ? [text.toLowerCase(), undefined] : [text.slice(0, equals).toLowerCase(), text.slice(equals + 1)];
}

/** "a=1" lists to a record; a key alone has an empty value. */
export const pairsOf = (list: readonly string[]): Record<string, string> =>
  Object.fromEntries(
    list.map((pair) => {
      const equals = pair.indexOf("=");
      return equals < 0 ? [pair, ""] : [pair.slice(0, equals), pair.slice(equals + 1)];
    }),
  );
