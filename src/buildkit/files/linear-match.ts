/**
 * Ignore patterns with many wildcards: all ways to match are tried at once, a step per character, where a regular expression of JavaScript would try them one
 * after another for hours. Go's are linear; so a pattern from a stranger must be here too.
 */
import { goRegExp } from "./go-regexp.ts";

type Step =
  | { readonly kind: "one"; readonly accepts: (character: string) => boolean }
  /** "*": anything but "/"; "deep": anything at the end; "directories": nothing, or anything that ends in "/". */
  | { readonly kind: "star" | "deep" | "directories" };

/** How many wildcards of any length a pattern has: what the time of a regular expression is a power of. */
export const countRepeats = (pattern: string): number => pattern.match(/\*+/g)?.length ?? 0;

/** Of a pattern that becomes a regular expression; undefined for one with parts that only those have ("|", "^", "{2}", "\d", stars in classes). */
export function linearMatcher(pattern: string): ((path: string) => boolean) | undefined {
  const steps = parseSteps([...pattern]);
  return steps === undefined ? undefined : (path) => runSteps(steps, path);
}

function parseSteps(characters: readonly string[]): Step[] | undefined {
  const steps: Step[] = [];
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at]!;
    if (character === "*" && characters[at + 1] === "*") {
      at += characters[at + 2] === "/" ? 2 : 1;
      steps.push({ kind: at + 1 < characters.length ? "directories" : "deep" });
    } else if (character === "*") steps.push({ kind: "star" });
    else if (character === "?") steps.push({ kind: "one", accepts: (other) => other !== "/" });
    else if (character === "\\" || character === "[") {
      const end = character === "[" ? endOfClass(characters, at) : at + 1;
      const piece = characters.slice(at, end + 1).join("");
      if (end < 0 || !/^(?:\\[\W_]|\[[^*?[\]\\]+\])$/.test(piece)) return undefined;
      const expression = goRegExp(`^${piece.replace(/[.+()$]/g, "\\$&").replace(/^\\\\/, "\\")}$`);
      steps.push({ kind: "one", accepts: (other) => expression.test(other) });
      at = end;
    } else if ("|^{}".includes(character)) return undefined;
    else steps.push({ kind: "one", accepts: (other) => other === character });
  }
  return steps;
}

const endOfClass = (characters: readonly string[], start: number) => characters.indexOf("]", start + 1);

/** Two marks per step: it is the next one; a "directories" has begun and waits for its "/". */
interface Marks {
  readonly next: Uint8Array;
  readonly begun: Uint8Array;
}

const emptyMarks = (count: number): Marks => ({ next: new Uint8Array(count + 1), begun: new Uint8Array(count + 1) });

function runSteps(steps: readonly Step[], path: string): boolean {
  let marks = emptyMarks(steps.length);
  mark(steps, marks, 0);
  for (const character of path) {
    const after = emptyMarks(steps.length);
    for (const [index, step] of steps.entries()) {
      if (marks.next[index] === 1 || marks.begun[index] === 1) advance({ steps, marks: after, index, step }, character);
    }
    marks = after;
  }
  return marks.next[steps.length] === 1;
}

/** Every wildcard may be nothing. */
function mark(steps: readonly Step[], { next }: Marks, from: number): void {
  for (let index = from; next[index] === 0; index++) {
    next[index] = 1;
    if (index === steps.length || steps[index]!.kind === "one") return;
  }
}

interface Advance {
  readonly steps: readonly Step[];
  readonly marks: Marks;
  readonly index: number;
  readonly step: Step;
}

function advance({ steps, marks, index, step }: Advance, character: string): void {
  if (step.kind === "one") {
    if (step.accepts(character)) mark(steps, marks, index + 1);
  } else if (step.kind === "star") {
    if (character !== "/") mark(steps, marks, index);
  } else if (character === "\n") return;
  else if (step.kind === "deep") mark(steps, marks, index);
  else {
    marks.begun[index] = 1;
    if (character === "/") mark(steps, marks, index + 1);
  }
}
