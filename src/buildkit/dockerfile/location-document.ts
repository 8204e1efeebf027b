/** Places in a Dockerfile as BuildKit's JSON documents have them. */
import type { SourceRange } from "../graph/vertex.ts";

/** One range per line. */
export function locationDocument({ startLine, endLine }: SourceRange): object {
  if (startLine < 1) return {};
  const lines = Array.from({ length: endLine - startLine + 1 }, (_, index) => startLine + index);
  return { ranges: lines.map((line) => ({ start: { line }, end: { line } })) };
}

/** As Go writes it, so that the same answer is the same bytes. */
export function goJson(document: object): string {
  const escaped = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return JSON.stringify(document, null, 2).replace(/[<>&\u2028\u2029]/g, escaped);
}
