/** An image's document as bytes and its name. */
import { createHash } from "node:crypto";
import { goJson } from "./go-format.ts";

export type Json = Readonly<Record<string, unknown>>;

/** The bytes whose hash is the image's id. */
export const encodeDocument = (document: Json): Buffer => Buffer.from(goJson(document));

export const imageId = (document: Json): string =>
  `sha256:${createHash("sha256").update(encodeDocument(document)).digest("hex")}`;
