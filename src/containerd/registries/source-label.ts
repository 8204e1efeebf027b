/** Where a blob can be mounted from: what we pulled it from and pushed it to. */
import type { Reference } from "../../oci/reference.ts";

/** containerd's label of a blob for where it can be mounted from: repositories of one registry, separated by commas. */
export const sourceLabel = (registry: string): string => `containerd.io/distribution.source.${registry}`;

const MAX_SOURCES = 10;

/** The label with one more repository, the newest first. */
export function withSource(
  labels: Readonly<Record<string, string>>,
  { domain, path }: Pick<Reference, "domain" | "path">,
): Record<string, string> {
  const key = sourceLabel(domain);
  const known = (labels[key] ?? "").split(",").filter((source) => source !== "" && source !== path);
  return { ...labels, [key]: [path, ...known].slice(0, MAX_SOURCES).join(",") };
}
