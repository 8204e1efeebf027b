/** The filters of GET /images/json and POST /images/prune. Pure. */
import { familiarRepository } from "../../oci/reference.ts";
import { HullError } from "../../platform/errors.ts";
import type { Filters } from "../http/filters.ts";
import { parseTimeNs } from "../time.ts";
import { type Catalog, findImage, type Image, isDangling, noSuchImage, repoTags } from "./catalog.ts";

export const listFilterNames = ["before", "dangling", "label", "reference", "since", "until"];

/** Throws for a `before` or `since` that names no image. */
export function filterImages(catalog: Catalog, filters: Filters): Image[] {
  const before = pivot(catalog, filters, "before");
  const since = pivot(catalog, filters, "since");
  const until = untilMs(filters);
  const dangling = filters.bool("dangling");
  return [...catalog.byId.values()]
    .filter((image) => dangling === undefined || isDangling(image) === dangling)
    .filter((image) => filters.labels("label", image.labels))
    .filter((image) => before === undefined || image.createdMs < before)
    .filter((image) => since === undefined || image.createdMs > since)
    .filter((image) => until === undefined || image.createdMs < until)
    .flatMap((image) => withMatchingNames(image, filters))
    .sort((a, b) => b.createdMs - a.createdMs);
}

function pivot(catalog: Catalog, filters: Filters, name: string): number | undefined {
  const [text] = filters.get(name);
  if (text === undefined) return undefined;
  const image = findImage(catalog, text);
  if (!image) throw noSuchImage(text);
  return image.createdMs;
}

/** Only the names that the `reference` filter asks for stay; an image without any is left out. */
function withMatchingNames(image: Image, filters: Filters): Image[] {
  const patterns = filters.get("reference");
  if (patterns.length === 0) return [image];
  const records = image.records.filter(({ reference }) => {
    if (!reference) return false;
    const repository = familiarRepository(reference);
    const suffix = reference.digest ? `@${reference.digest}` : `:${reference.tag}`;
    return patterns.some((pattern) => [repository, repository + suffix].some((name) => globOf(pattern).test(name)));
  });
  return records.length === 0 ? [] : [{ ...image, records }];
}

/** path.Match: `*` and `?` stop at slashes. */
function globOf(pattern: string): RegExp {
  const source = pattern
    .replace(/[.+^${}()|\\]/g, "\\$&")
    .replaceAll("*", "[^/]*")
    .replaceAll("?", "[^/]");
  try {
    return new RegExp(`^${source}$`);
  } catch (error) {
    throw new HullError("invalid-argument", `invalid reference filter "${pattern}": syntax error in pattern`, {
      cause: error,
    });
  }
}

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** `until`: a time (seconds since the epoch, RFC 3339) or a duration ago (Go's "10m", "1h30m"). Milliseconds since the epoch. */
export function untilMs(filters: Filters): number | undefined {
  const values = filters.get("until");
  if (values.length === 0) return undefined;
  if (values.length > 1) throw new HullError("invalid-argument", "more than one until filter specified");
  const text = values[0]!;
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  const ns = parseTimeNs(text);
  if (ns !== undefined) return Number(ns / 1_000_000n);
  if (/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) {
    const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
    return Date.now() - parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * unitMs[unit!]!, 0);
  }
  throw new HullError("invalid-argument", `invalid until filter: failed to parse value as time or duration: "${text}"`);
}

export const isNamed = (image: Image): boolean => repoTags(image).length > 0;
