/** `--filter key=value` lists as the API wants them: JSON of {key: {value: true}}. */
import { HullError } from "../../platform/errors.ts";

export function encodeFilters(filters: readonly string[]): string | undefined {
  if (filters.length === 0) return undefined;
  const encoded: Record<string, Record<string, true>> = {};
  for (const filter of filters) {
    const equals = filter.indexOf("=");
    if (equals < 0)
      throw new HullError(
        "invalid-argument",
        `invalid argument ${JSON.stringify(filter)} for "-f, --filter" flag: bad format of filter (expected name=value)`,
      );
    const key = filter.slice(0, equals).trim().toLowerCase();
    encoded[key] = { ...encoded[key], [filter.slice(equals + 1).trim()]: true };
  }
  return JSON.stringify(encoded);
}

export const filterFlag = {
  name: "filter",
  short: "f",
  kind: "list",
  help: "Filter output based on conditions provided",
  value: "filter",
  check: (text: string) => (text.includes("=") ? undefined : "bad format of filter (expected name=value)"),
} as const;

export const formatFlag = {
  name: "format",
  kind: "string",
  help: "Format output using a custom template: 'table' (default), 'table TEMPLATE', 'json' or a Go template",
} as const;
