/** "a=b,c=d" with CSV's quotes, as values of docker's flags are written. */
import { HullError } from "../../platform/errors.ts";

/** Throws invalid-argument for a part that is no pair. Names in lower case. */
export function parseFields(text: string): Record<string, string> {
  return Object.fromEntries(
    splitFields(text).map((part) => {
      const equals = part.indexOf("=");
      if (equals < 0) throw new HullError("invalid-argument", `invalid value ${part}`);
      return [part.slice(0, equals).toLowerCase(), part.slice(equals + 1)];
    }),
  );
}

export function splitFields(text: string): string[] {
  const parts: string[] = [];
  for (const match of text.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g))
    parts.push(match[1]?.replaceAll('""', '"') ?? match[2]!);
  return parts;
}
