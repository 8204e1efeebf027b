/** Reading answers of registries: never more than a bound into memory. */
import { HullError } from "../../platform/errors.ts";
import type { WebResponse } from "../../platform/web-fetch.ts";

/** Throws resource-exhausted when the body is longer: it is not read on. */
export async function boundedBytes({ body }: Pick<WebResponse, "body">, most: number): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of body ?? []) {
    length += piece.length;
    if (length > most) throw new HullError("resource-exhausted", `the registry's answer is longer than ${most} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces, length);
}

export const boundedText = async (answer: Pick<WebResponse, "body">, most: number): Promise<string> =>
  (await boundedBytes(answer, most)).toString("utf8");

/** Lets the connection be used again. */
export async function drain(answer: Pick<WebResponse, "body">): Promise<void> {
  let length = 0;
  for await (const piece of answer.body ?? []) {
    length += piece.length;
    if (length > 64 * 1024) return;
  }
}
