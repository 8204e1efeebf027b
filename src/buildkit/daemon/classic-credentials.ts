/** X-Registry-Config of a classic build: base64url JSON of registries to credentials. It is asked of for what is pulled, and kept nowhere. */
import { canonicalRegistry, credentialsFor, type WireAuth } from "../../registry/client/credentials.ts";
import type { ImageClient } from "./base-images.ts";

/** A header that is no such thing is as if it were not there, as for dockerd. */
export function configuredCredentials(header: string): ImageClient["credentials"] {
  const entries = decode(header);
  return async (registry) => {
    const found = entries.find(([server]) => canonicalRegistry(server) === canonicalRegistry(registry));
    return found && credentialsFor(registry, { ...found[1], serveraddress: "" });
  };
}

function decode(header: string): [string, WireAuth][] {
  if (header === "") return [];
  try {
    const json: unknown = JSON.parse(Buffer.from(header, "base64url").toString());
    if (typeof json !== "object" || json === null) return [];
    return Object.entries(json).filter(
      (entry): entry is [string, WireAuth] => typeof entry[1] === "object" && entry[1] !== null,
    );
  } catch {
    return [];
  }
}
