/** Names of containers: what is allowed, and a random one when none is given. */
import { randomInt } from "node:crypto";
import { adjectives, nouns } from "./name-words-table.ts";
import { invalid } from "./refusal.ts";

/** "/name" or "name" -> "name". Throws invalid-argument in Docker's words. */
export function parseName(text: string): string {
  const name = text.replace(/^\//, "");
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(name))
    throw invalid(`Invalid container name (${text}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`);
  return name;
}

/** adjective_noun, with a digit added after collisions. */
export function randomName(isTaken: (name: string) => boolean): string {
  for (let attempt = 0; ; attempt++) {
    const words = `${pick(adjectives)}_${pick(nouns)}`;
    const name = attempt === 0 ? words : `${words}${randomInt(10 ** Math.min(attempt, 9))}`;
    if (!isTaken(name)) return name;
  }
}

const pick = (words: readonly string[]): string => words[randomInt(words.length)]!;
