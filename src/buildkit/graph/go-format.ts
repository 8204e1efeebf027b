/** Values as Go prints them: what Docker puts into an image's history and documents. */

const named: Readonly<Record<number, string>> = {
  7: "\\a",
  8: "\\b",
  9: "\\t",
  10: "\\n",
  11: "\\v",
  12: "\\f",
  13: "\\r",
};

/** %q of a string. */
export function goQuote(text: string): string {
  let result = '"';
  for (const character of text) {
    const code = character.codePointAt(0)!;
    if (character === '"' || character === "\\") result += `\\${character}`;
    else if (isPrinted(character, code)) result += character;
    else result += named[code] ?? escaped(code);
  }
  return `${result}"`;
}

/** %q of a list: ["a" "b"]. */
export const goQuoteList = (texts: readonly string[]): string => `[${texts.map(goQuote).join(" ")}]`;

/** %v of a list: [a b]. */
export const goList = (texts: readonly string[]): string => `[${texts.join(" ")}]`;

/** %q of a number: the character of that code in single quotes. */
export function goQuoteNumber(code: number): string {
  if (code === 39) return "'\\''";
  if (code === 34) return `'"'`;
  const valid = code >= 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
  return `'${goQuote(String.fromCodePoint(valid ? code : 0xfffd)).slice(1, -1)}'`;
}

/** Go's strconv.IsPrint: letters, marks, numbers, punctuation, symbols and the plain space. */
const isPrinted = (character: string, code: number): boolean =>
  code === 32 || /^[\p{L}\p{M}\p{N}\p{P}\p{S}]$/u.test(character);

function escaped(code: number): string {
  if (code < 0x80) return `\\x${code.toString(16).padStart(2, "0")}`;
  return code > 0xffff ? `\\U${code.toString(16).padStart(8, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
}

/** A duration: 90s is "1m30s", half a second "500ms". */
export function goDuration(nanoseconds: number): string {
  if (nanoseconds === 0) return "0s";
  const sign = nanoseconds < 0 ? "-" : "";
  const value = Math.abs(nanoseconds);
  if (value < 1_000) return `${sign}${value}ns`;
  if (value < 1_000_000) return `${sign}${decimal(value, 3)}µs`;
  if (value < 1_000_000_000) return `${sign}${decimal(value, 6)}ms`;
  const minutes = Math.floor(value / 60e9);
  const hours = Math.floor(minutes / 60);
  const seconds = `${decimal(value - minutes * 60e9, 9)}s`;
  return sign + (hours > 0 ? `${hours}h` : "") + (minutes > 0 ? `${minutes % 60}m` : "") + seconds;
}

/** value / 10^digits without zeros at its end. */
function decimal(value: number, digits: number): string {
  const text = String(value).padStart(digits + 1, "0");
  const fraction = text.slice(-digits).replace(/0+$/, "");
  return text.slice(0, -digits) + (fraction === "" ? "" : `.${fraction}`);
}

/** A time in UTC with as many digits as it needs: "2026-11-23T23:27:26.613459003Z". */
export function goTime(nanoseconds: bigint): string {
  const rest = nanoseconds % 1_000_000_000n;
  const fraction = rest < 0n ? rest + 1_000_000_000n : rest;
  const seconds = (nanoseconds - fraction) / 1_000_000_000n;
  const whole = new Date(Number(seconds) * 1000).toISOString().slice(0, -".000Z".length);
  const digits = String(fraction).padStart(9, "0").replace(/0+$/, "");
  return `${whole}${digits === "" ? "" : `.${digits}`}Z`;
}

const inText: Readonly<Record<string, string>> = {
  "<": "\\u003c",
  ">": "\\u003e",
  "&": "\\u0026",
  "\u2028": "\\u2028",
  "\u2029": "\\u2029",
};

/** JSON with Go's escapes. The order of members is the value's own. */
export const goJson = (value: unknown): string =>
  JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, (character) => inText[character]!);
