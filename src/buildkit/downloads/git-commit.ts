/** Which commit a reference of a remote is, from what `git ls-remote` says. */
import { HullError } from "../../platform/errors.ts";

/** SHA-1 or SHA-256, whole. */
export const isCommit = (text: string): boolean => /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(text);

export interface Advertised {
  /** The commit; of an annotated tag the one that it names. */
  readonly commit: string;
  /** The whole name: "refs/heads/main"; "HEAD" for the default branch. */
  readonly name: string;
  /** What else it may be called: the annotated tag's own hash. */
  readonly hashes: readonly string[];
}

const isDefault = (ref: string): boolean => ref === "" || ref === "HEAD";

/** Patterns for `ls-remote`. Throws invalid-argument for one that git could take for an option. */
export function patternsFor(ref: string): readonly string[] {
  if (ref.startsWith("-") || /[\0-\x20~^:?*[\\]|\.\.|@\{/.test(ref))
    throw new HullError("invalid-argument", `invalid git ref ${JSON.stringify(ref)}`, { facts: { token: ref } });
  return isDefault(ref) ? ["HEAD"] : [ref, `${ref}^{}`];
}

/** Branches come before tags of the same name, as in a checkout. Throws not-found. */
export function chooseRef(listing: string, ref: string): Advertised {
  const found = new Map(
    listing.split("\n").flatMap((line) => {
      const [hash = "", name] = line.split("\t");
      return name !== undefined && isCommit(hash) ? [[name, hash] as const] : [];
    }),
  );
  const bare = ref.replace(/^refs\//, "");
  const names = isDefault(ref) ? ["HEAD"] : [`refs/${bare}`, `refs/heads/${ref}`, `refs/tags/${ref}`];
  const name = names.find((candidate) => found.has(candidate));
  if (name === undefined)
    throw new HullError(
      "not-found",
      ref === "" ? "the repository has no default branch: it may be empty" : `repository does not contain ref ${ref}`,
      { facts: { token: ref } },
    );
  const own = found.get(name)!;
  const commit = found.get(`${name}^{}`) ?? own;
  return { commit, name, hashes: [...new Set([commit, own])] };
}

/** `checksum`: a hash or its beginning; "" for any. Throws failed-precondition. */
export function checkCommit({ hashes }: Pick<Advertised, "hashes">, checksum: string): void {
  if (hashes.some((hash) => hash.startsWith(checksum))) return;
  throw new HullError("failed-precondition", `expected checksum to match ${checksum}, got ${hashes.join(" or ")}`, {
    facts: { token: checksum },
  });
}
