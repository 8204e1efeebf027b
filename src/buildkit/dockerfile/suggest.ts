/** "did you mean X?" */

/** Nearer than this many edits is worth a suggestion. */
const tooFar = 3;

/** The option nearest to a text that is none of them; "" when none is near. */
export function suggestion(text: string, options: Iterable<string>): string {
  let nearest = "";
  let least = tooFar;
  for (const option of options) {
    if (option === text) return "";
    if (Math.abs(option.length - text.length) >= least) continue;
    const distance = editDistance(text, option);
    if (distance < least) [nearest, least] = [option, distance];
  }
  return nearest;
}

/** " (did you mean X?)" or "". */
export const didYouMean = (text: string, options: Iterable<string>): string => asked(suggestion(text, options));

/** The same for options in upper case of which any case is meant: the suggestion has the text's case. */
export function didYouMeanInAnyCase(text: string, options: Iterable<string>): string {
  const nearest = suggestion(text.toUpperCase(), options);
  return asked(text === text.toUpperCase() ? nearest : nearest.toLowerCase());
}

const asked = (nearest: string): string => (nearest === "" ? "" : ` (did you mean ${nearest}?)`);

/** Levenshtein's: insertions, removals and exchanges of one character. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const exchange = previous[column - 1]! + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(exchange, previous[column]! + 1, current[column - 1]! + 1));
    }
    previous = current;
  }
  return previous[b.length]!;
}
