/** The query of `POST /build/prune`. */
import { HullError } from "../../platform/errors.ts";
import { PRUNE_NOTHING_ELSE, type PrunePolicy } from "../solver/prune.ts";

const isTrue = (text: string | null): boolean => !["", "0", "no", "false", "none"].includes((text ?? "").toLowerCase());

/** Throws invalid-argument for malformed filters and sizes. */
export function prunePolicyOf(query: URLSearchParams): PrunePolicy {
  const bytes = (...names: string[]): number => {
    const text = names.map((name) => query.get(name)).find((value) => value !== null && value !== "") ?? "0";
    if (!/^\d{1,18}$/.test(text))
      throw new HullError("invalid-argument", `${names[0]} is in bytes and expects an integer, got ${text}`);
    return Number(text);
  };
  return {
    ...PRUNE_NOTHING_ELSE,
    all: isTrue(query.get("all")),
    filters: filtersOf(query.get("filters") ?? ""),
    reservedBytes: bytes("reserved-space", "keep-storage"),
    maxUsedBytes: bytes("max-used-space"),
    minFreeBytes: bytes("min-free-space"),
  };
}

/** {"until":{"24h":true}} or {"until":["24h"]} as "until=24h". */
function filtersOf(text: string): readonly string[] {
  if (text === "") return [];
  try {
    const given = JSON.parse(text) as Record<string, readonly string[] | Record<string, boolean>>;
    return Object.entries(given).flatMap(([name, values]) =>
      (Array.isArray(values) ? values : Object.keys(values)).map((value) => (value === "" ? name : `${name}=${value}`)),
    );
  } catch (error) {
    throw new HullError("invalid-argument", "invalid filter", { cause: error });
  }
}
