/** How a result came to be: what provenance is made of. */
import type { Vertex } from "../graph/vertex.ts";

/** Something that a build took from elsewhere. */
export interface Material {
  readonly uri: string;
  /** By algorithm, hexadecimal: "sha256", "sha1" of a commit. */
  readonly digest: Readonly<Record<string, string>>;
}

export interface BuildOrigin {
  readonly ref: string;
  /** Of the frontend, as the client gave them. */
  readonly attributes: Readonly<Record<string, string>>;
  readonly dockerfile: { readonly name: string; readonly data: Buffer };
  /** Where the Dockerfile was, when that was no directory of the client. */
  readonly remote: Material | undefined;
  /** What was downloaded. */
  readonly downloads: readonly Material[];
  /** What the image is made of. */
  readonly target: Vertex;
  /** "linux/amd64": of the machine. */
  readonly builderPlatform: string;
  readonly startedMs: number;
  readonly finishedMs: number;
}
