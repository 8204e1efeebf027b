/** Docker's list filters: `{"label":{"a=b":true}}`, or the older `{"label":["a=b"]}`. */
import { HullError } from "../../platform/errors.ts";
import { invalidFilter } from "./messages.ts";

export class Filters {
  constructor(private readonly values: ReadonlyMap<string, readonly string[]> = new Map()) {}

  get names(): string[] {
    return [...this.values.keys()];
  }

  has(name: string): boolean {
    return (this.values.get(name)?.length ?? 0) > 0;
  }

  /** The values asked for under a name; empty when none. */
  get(name: string): readonly string[] {
    return this.values.get(name) ?? [];
  }

  /** True when the filter is absent or one of its values equals `value`. */
  exact(name: string, value: string): boolean {
    return !this.has(name) || this.get(name).includes(value);
  }

  /** True when the filter is absent or one of its values matches as a regular expression, or equals `value`. */
  match(name: string, value: string): boolean {
    return !this.has(name) || this.get(name).some((wanted) => wanted === value || searches(wanted, value));
  }

  /** True when the filter is absent or one of its values is a prefix of `value`. */
  prefix(name: string, value: string): boolean {
    return !this.has(name) || this.get(name).some((wanted) => value.startsWith(wanted));
  }

  /** True when every value ("key" or "key=value") is among the labels. */
  labels(name: string, labels: Readonly<Record<string, string>>): boolean {
    return this.get(name).every((wanted) => hasLabel(labels, wanted));
  }

  /** For `label!`: true when none of the values is among the labels. */
  withoutLabels(name: string, labels: Readonly<Record<string, string>>): boolean {
    return !this.get(name).some((wanted) => hasLabel(labels, wanted));
  }

  /** A boolean filter such as dangling; undefined when absent. Throws invalid-argument. */
  bool(name: string): boolean | undefined {
    if (!this.has(name)) return undefined;
    const values = this.get(name).map((value) => truth[value.toLowerCase()]);
    const [value] = values;
    if (value === undefined || values.length > 1) throw invalidValue(name, this.get(name));
    return value;
  }
}

const truth: Readonly<Record<string, boolean>> = { "1": true, true: true, t: true, "0": false, false: false, f: false };

const invalidValue = (name: string, values: readonly string[]): HullError =>
  new HullError("invalid-argument", `invalid filter '${name}=[${values.join(" ")}]'`);

function hasLabel(labels: Readonly<Record<string, string>>, wanted: string): boolean {
  const equals = wanted.indexOf("=");
  if (equals < 0) return labels[wanted] !== undefined;
  return labels[wanted.slice(0, equals)] === wanted.slice(equals + 1);
}

function searches(pattern: string, value: string): boolean {
  try {
    return new RegExp(pattern).test(value);
  } catch {
    return false; // Not a regular expression: then only equality counts.
  }
}

/** Parses the `filters` parameter and refuses names outside `accepted`. Throws invalid-argument. */
export function parseFilters(json: string, accepted: readonly string[]): Filters {
  if (json === "") return new Filters();
  const values = new Map<string, readonly string[]>();
  for (const [name, wanted] of Object.entries(parseObject(json))) {
    if (!accepted.includes(name)) throw new HullError("invalid-argument", invalidFilter(name));
    values.set(name, valuesOf(wanted));
  }
  return new Filters(values);
}

const malformed = (): HullError => new HullError("invalid-argument", "invalid filter: not a map of names to values");

function parseObject(json: string): Record<string, unknown> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch (error) {
    throw new HullError("invalid-argument", "invalid filter", { cause: error });
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) throw malformed();
  return parsed as Record<string, unknown>;
}

function valuesOf(wanted: unknown): string[] {
  if (Array.isArray(wanted) && wanted.every((value) => typeof value === "string")) return wanted;
  if (typeof wanted !== "object" || wanted === null || Array.isArray(wanted)) throw malformed();
  return Object.entries(wanted).flatMap(([value, on]) => (on === true ? [value] : []));
}
