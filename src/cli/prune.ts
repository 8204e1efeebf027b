/** What the prune commands share: the question, the call, and the total. */
import { createInterface } from "node:readline/promises";
import type { Invocation } from "./command.ts";
import type { Flag } from "./flags.ts";
import { encodeFilters } from "./format/filters.ts";
import { humanSize } from "./format/units.ts";
import { print } from "./streams/output.ts";

export const pruneFlags: readonly Flag[] = [
  { name: "filter", kind: "list", help: 'Provide filter values (e.g. "until=<timestamp>")', value: "filter" },
  { name: "force", short: "f", kind: "bool", help: "Do not prompt for confirmation" },
];

/** Asks unless --force was given; anything but y means no. */
export async function confirmed(invocation: Invocation, warning: string): Promise<boolean> {
  if (invocation.flags.bool("force")) return true;
  const questions = createInterface({ input: process.stdin, output: process.stdout });
  try {
    const answer = await questions.question(`${warning}\nAre you sure you want to continue? [y/N] `);
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    questions.close();
  }
}

interface PruneAnswer {
  readonly SpaceReclaimed?: number;
  readonly [list: string]: unknown;
}

export interface PruneCall {
  readonly path: string;
  /** The field with what was deleted, and its heading. */
  readonly list: string;
  readonly heading: string;
  readonly filters?: readonly string[];
}

/** Prunes one kind and returns its text and the bytes it freed. */
export async function prune(invocation: Invocation, call: PruneCall): Promise<{ text: string; bytes: number }> {
  const filters = [...invocation.flags.list("filter"), ...(call.filters ?? [])];
  const answer = await invocation.session.json<PruneAnswer>({
    method: "POST",
    path: call.path,
    query: { filters: encodeFilters(filters) },
  });
  const deleted = (answer[call.list] ?? []) as readonly (string | { Deleted?: string; Untagged?: string })[];
  const names = deleted.map((item) =>
    typeof item === "string" ? item : item.Deleted ? `deleted: ${item.Deleted}` : `untagged: ${item.Untagged}`,
  );
  const text = names.length === 0 ? "" : `${call.heading}:\n${names.join("\n")}\n\n`;
  return { text, bytes: answer.SpaceReclaimed ?? 0 };
}

export const printTotal = (bytes: number): Promise<void> => print(`Total reclaimed space: ${humanSize(bytes)}\n`);
