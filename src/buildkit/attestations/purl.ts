/** Package URLs (github.com/package-url/purl-spec), as far as images and their packages need them. Pure. */
import { familiarRepository, parseReference, type Reference, withDefaultTag } from "../../oci/reference.ts";

export interface PackageUrl {
  readonly type: "docker" | "deb" | "apk" | "npm" | "pypi";
  /** "@babel", "debian", "localhost:5000/team". */
  readonly namespace?: string;
  readonly name: string;
  readonly version?: string;
  readonly qualifiers?: Readonly<Record<string, string | undefined>>;
}

const escaped = (text: string): string =>
  encodeURIComponent(text)
    .replace(/%3A/g, ":")
    .replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);

export function formatPackageUrl({ type, namespace = "", name, version, qualifiers = {} }: PackageUrl): string {
  const path = [...namespace.split("/").filter((part) => part !== ""), name].map(escaped).join("/");
  const query = Object.entries(qualifiers)
    .filter((pair): pair is [string, string] => pair[1] !== undefined && pair[1] !== "")
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${encodeURIComponent(value).replace(/%3A/g, ":")}`)
    .join("&");
  return `pkg:${type}/${path}${version ? `@${escaped(version)}` : ""}${query === "" ? "" : `?${query}`}`;
}

/** "pkg:docker/busybox@latest?platform=linux%2Famd64"; undefined for an image's id, which is no name. */
export function imageUrl(reference: string, platform: string): string | undefined {
  let parsed: Reference;
  try {
    parsed = withDefaultTag(parseReference(reference));
  } catch {
    return undefined;
  }
  const parts = familiarRepository(parsed).split("/");
  return formatPackageUrl({
    type: "docker",
    namespace: parts.slice(0, -1).join("/"),
    name: parts.at(-1)!,
    ...(parsed.tag !== undefined && { version: parsed.tag }),
    qualifiers: { digest: parsed.digest, platform },
  });
}
