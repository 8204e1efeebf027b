/** Characters as the Dockerfile's grammar sees them. */

/** Unicode's White_Space, which is not quite what JavaScript's \s is. */
const whiteSpace = "[\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
const space = new RegExp(`^${whiteSpace}$`);
const spacesAtStart = new RegExp(`^${whiteSpace}+`);
export const spaces = new RegExp(`${whiteSpace}+`);

export const isSpace = (character: string): boolean => space.test(character);

export const trimStart = (text: string): string => text.replace(spacesAtStart, "");

/** By hand: a regular expression that is anchored at the end tries every run of spaces in between. */
export function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && isSpace(text[end - 1]!)) end--;
  return text.slice(0, end);
}

export const trim = (text: string): string => trimEnd(trimStart(text));

/** In double quotes, what does not print escaped. */
export const quoted = (text: string): string => JSON.stringify(text);
