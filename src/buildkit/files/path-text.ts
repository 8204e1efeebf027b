/**
 * File names are bytes; here they are text. A byte that is no part of valid UTF-8 is the lone surrogate U+DC00 + byte, so that every name has
 * one text and every such text is one name again. Names that go to keel or to a file system are bytes of `encodePath`.
 */

const escapedByte = /[\udc80-\udcff]/u;

export function encodePath(text: string): Buffer {
  if (!escapedByte.test(text)) return Buffer.from(text, "utf8");
  const parts: Buffer[] = [];
  for (const character of text) {
    const code = character.codePointAt(0)!;
    parts.push(code >= 0xdc80 && code <= 0xdcff ? Buffer.of(code - 0xdc00) : Buffer.from(character, "utf8"));
  }
  return Buffer.concat(parts);
}

/** Also for a whole block of names between NULs. */
export function decodePath(bytes: Buffer): string {
  const text = bytes.toString("utf8");
  return text.includes("\ufffd") ? decodeByteByByte(bytes) : text;
}

function decodeByteByByte(bytes: Buffer): string {
  const parts: string[] = [];
  for (let at = 0, plain = 0; at <= bytes.length; ) {
    const length = at < bytes.length ? sequenceLength(bytes, at) : 0;
    if (length > 0) {
      at += length;
      continue;
    }
    parts.push(bytes.toString("utf8", plain, at));
    if (at < bytes.length) parts.push(String.fromCharCode(0xdc00 + bytes[at]!));
    at++;
    plain = at;
  }
  return parts.join("");
}

/** Bytes of the UTF-8 sequence that begins here; 0: none does (RFC 3629, section 4). */
function sequenceLength(bytes: Buffer, at: number): number {
  const first = bytes[at]!;
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  const second = bytes[at + 1] ?? 0;
  const [low, high] = secondByteOf[first] ?? [0x80, 0xbf];
  if (second < low || second > high) return 0;
  for (let next = 2; next < length; next++) {
    if (((bytes[at + next] ?? 0) & 0xc0) !== 0x80) return 0;
  }
  return length;
}

/** First bytes whose second is bounded more narrowly: no overlong forms, no surrogates, nothing above U+10FFFF. */
const secondByteOf: Readonly<Record<number, readonly [number, number]>> = {
  224: [0xa0, 0xbf],
  237: [0x80, 0x9f],
  240: [0x90, 0xbf],
  244: [0x80, 0x8f],
};

/** By bytes, where "/" sorts before every other byte, so that what is in a directory follows it directly. */
export function comparePaths(a: string, b: string): number {
  const shorter = Math.min(a.length, b.length);
  let at = 0;
  while (at < shorter && a.charCodeAt(at) === b.charCodeAt(at)) at++;
  if (at === shorter) return a.length - b.length;
  const [left, right] = [a.charCodeAt(at), b.charCodeAt(at)];
  if (left < 0xd800 && right < 0xd800) return (left === 0x2f ? 0 : left) - (right === 0x2f ? 0 : right);
  return compareBytes(a, b, at);
}

/** UTF-16 units sort as bytes below the surrogates only. */
function compareBytes(a: string, b: string, at: number): number {
  const previous = at > 0 ? a.charCodeAt(at - 1) : 0;
  const start = previous >= 0xd800 && previous <= 0xdbff ? at - 1 : at;
  const slashFirst = (text: string) => encodePath(text.slice(start).replaceAll("/", "\0"));
  return Buffer.compare(slashFirst(a), slashFirst(b));
}
