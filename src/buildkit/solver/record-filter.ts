/**
 * Filters of `builder prune` and `du` over records of the cache: "type==regular,shared" is true when all of its conditions are; of several filters
 * one must be. Operators are ==, = (the same), != and ~= (regular expression); a lone name is true when it is set.
 */
import { HullError } from "../../platform/errors.ts";
import type { CacheRecord } from "../api.ts";

type Condition = (record: CacheRecord) => boolean;

/** Throws invalid-argument. No filters, or only empty ones: every record. */
export function parseRecordFilters(filters: readonly string[]): (record: CacheRecord) => boolean {
  // buildx sends an empty one for none.
  const parsed = filters.filter((filter) => filter !== "").map((filter) => filter.split(",").map(parseCondition));
  return (record) => parsed.length === 0 || parsed.some((all) => all.every((condition) => condition(record)));
}

function parseCondition(text: string): Condition {
  const [, name = "", operator = "", value = ""] = /^([a-z_]+)(?:(==|=|!=|~=)(.*))?$/.exec(text) ?? [];
  const field = fieldOf[name];
  if (field === undefined) throw new HullError("invalid-argument", `invalid filter '${text}'`);
  if (operator === "") return (record) => field(record).some((one) => one !== "" && one !== "false");
  const matches = matcher(operator, unquoted(value), text);
  return (record) => matches(field(record));
}

function matcher(operator: string, value: string, text: string): (found: readonly string[]) => boolean {
  if (operator === "!=") return (found) => !found.includes(value);
  if (operator !== "~=") return (found) => found.includes(value);
  try {
    const pattern = new RegExp(value);
    return (found) => found.some((one) => pattern.test(one));
  } catch (error) {
    throw new HullError("invalid-argument", `invalid filter '${text}'`, { cause: error });
  }
}

const unquoted = (value: string): string => value.replace(/^"(.*)"$/, "$1");

const fieldOf: Readonly<Record<string, (record: CacheRecord) => readonly string[]>> = {
  id: ({ ID }) => [ID],
  parent: ({ Parents }) => Parents,
  parents: ({ Parents }) => Parents,
  type: ({ Type }) => [Type],
  description: ({ Description }) => [Description],
  inuse: ({ InUse }) => [String(InUse)],
  shared: ({ Shared }) => [String(Shared)],
  private: ({ Shared }) => [String(!Shared)],
};
