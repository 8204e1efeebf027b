/** Statements of in-toto (github.com/in-toto/attestation, v0.1) about images and files. Pure. */
import { imageUrl } from "./purl.ts";

export const predicateTypes = {
  provenance02: "https://slsa.dev/provenance/v0.2",
  provenance1: "https://slsa.dev/provenance/v1",
  spdx: "https://spdx.dev/Document",
} as const;

export interface Subject {
  readonly name: string;
  /** By algorithm: "sha256"; hexadecimal. */
  readonly digest: Readonly<Record<string, string>>;
}

export interface Predicate {
  readonly type: string;
  readonly value: object;
}

export const encodeStatement = (subject: readonly Subject[], { type, value }: Predicate): Buffer =>
  Buffer.from(
    JSON.stringify({ _type: "https://in-toto.io/Statement/v0.1", predicateType: type, subject, predicate: value }),
  );

/** An image under each of its names, or without one. `digest`: "sha256:..." of its manifest. */
export function imageSubjects(names: readonly string[], platform: string, digest: string): Subject[] {
  const [algorithm = "", hex = ""] = digest.split(":");
  const urls = names.map((name) => imageUrl(name, platform)).filter((url) => url !== undefined);
  return (urls.length > 0 ? urls : ["_"]).map((name) => ({ name, digest: { [algorithm]: hex } }));
}
