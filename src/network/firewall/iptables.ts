/** From what is there and what is wanted to the input of one `iptables-restore --noflush`. Pure. */
import { type Dump, type DumpedTable, isOwn, type Ownership } from "./dump.ts";
import { builtInChains, chains, type Rule, type Table } from "./model.ts";

const tables: readonly Table[] = ["raw", "nat", "filter"];

export interface Change {
  /** Empty: nothing to do. */
  readonly restore: string;
  /** Rules that were missing, for the log. */
  readonly missing: readonly Rule[];
  readonly stale: number;
}

/** What makes `dump` agree with `wanted`. Foreign rules stay as and where they are. */
export function planChange(dump: Dump, wanted: readonly Rule[], ownership: Ownership): Change {
  const missing: Rule[] = [];
  let stale = 0;
  const parts = tables.map((table) => {
    const there = dump.get(table);
    const rules = wanted.filter((rule) => rule.table === table);
    const isAbsent = (rule: Rule): boolean => !(there?.chains.get(rule.chain) ?? []).includes(rule.text);
    const displaced = displacedJumps(there, rules);
    const absent = rules.filter((rule) => isAbsent(rule) || displaced.includes(rule));
    const gone = staleRules(table, there, { rules, ownership });
    missing.push(...absent);
    stale += gone.length;
    const lines = [
      ...declarations(table, there, rules),
      ...gone.map(({ chain, text }) => `-D ${chain} ${text}`),
      ...displaced.flatMap((rule) => copies(there, rule).map(() => `-D ${rule.chain} ${rule.text}`)),
      ...absent.map((rule) => `${rule.place === "top" ? "-I" : "-A"} ${rule.chain} ${rule.text}`),
    ];
    return lines.length === 0 ? "" : `*${table}\n${lines.join("\n")}\nCOMMIT\n`;
  });
  return { restore: parts.join(""), missing, stale };
}

/**
 * Jumps that stand below one that belongs below them (what users say in DOCKER-USER comes before what we allow), or would once the
 * absent ones are back: they go and come again. Of two "top" rules the later belongs first.
 */
function displacedJumps(there: DumpedTable | undefined, rules: readonly Rule[]): Rule[] {
  const tops = rules.filter((rule) => rule.shared && rule.place === "top");
  return [...new Set(tops.map(({ chain }) => chain))].flatMap((chain) => {
    const texts = there?.chains.get(chain) ?? [];
    const positions = tops
      .filter((rule) => rule.chain === chain)
      .map((rule) => ({ rule, at: texts.indexOf(rule.text) }));
    const firstWrong = positions.findIndex(
      ({ at }, index) => at < 0 || positions.slice(index + 1).some((later) => later.at > at),
    );
    return firstWrong < 0 ? [] : positions.slice(firstWrong).flatMap(({ rule, at }) => (at < 0 ? [] : [rule]));
  });
}

/** FORWARD was made anew by whoever lost all of it: its policy is what every host has. */
export function lostPolicy(dump: Dump, missing: readonly Rule[], policy: string | undefined): string {
  const isNew = missing.filter((rule) => rule.chain === "FORWARD").length > 1;
  const there = dump.get("filter")?.policies.get("FORWARD") ?? "ACCEPT";
  return policy !== undefined && isNew && there !== policy ? `*filter\n-P FORWARD ${policy}\nCOMMIT\n` : "";
}

/** A chain may be declared only when it is missing: declaring an existing one would flush it. */
function declarations(table: Table, there: DumpedTable | undefined, rules: readonly Rule[]): string[] {
  if (rules.length === 0) return [];
  const isUsed = (chain: string): boolean =>
    rules.some((rule) => rule.chain === chain || rule.text.endsWith(`-j ${chain}`));
  return chains[table]
    .filter((chain) => isUsed(chain) && !there?.chains.has(chain))
    .map((chain) => `:${chain} - [0:0]`);
}

interface Place {
  readonly chain: string;
  readonly text: string;
}

/** Own rules that nobody wants any more, and second copies of wanted ones. */
function staleRules(
  table: Table,
  there: DumpedTable | undefined,
  context: { readonly rules: readonly Rule[]; readonly ownership: Ownership },
): Place[] {
  const found: Place[] = [];
  for (const chain of [...builtInChains[table], ...chains[table]]) {
    const seen = new Set<string>();
    for (const text of there?.chains.get(chain) ?? []) {
      const wanted = context.rules.some((rule) => rule.chain === chain && rule.text === text);
      const own = isOwn(text, context.ownership);
      if (own && (!wanted || seen.has(text))) found.push({ chain, text });
      seen.add(text);
    }
  }
  return found;
}

/** The step from one wanted list to the next, without looking: for a host that is known to agree with `before`. */
export function planStep(before: readonly Rule[], after: readonly Rule[]): string {
  const key = (rule: Rule): string => `${rule.table} ${rule.chain} ${rule.text}`;
  const had = new Set(before.map(key));
  const wants = new Set(after.map(key));
  const part = (table: Table): string => {
    const lines = [
      ...before
        .filter((rule) => rule.table === table && !rule.shared && !wants.has(key(rule)))
        .map((rule) => `-D ${rule.chain} ${rule.text}`),
      ...after
        .filter((rule) => rule.table === table && !had.has(key(rule)))
        .map((rule) => `${rule.place === "top" ? "-I" : "-A"} ${rule.chain} ${rule.text}`),
    ];
    return lines.length === 0 ? "" : `*${table}\n${lines.join("\n")}\nCOMMIT\n`;
  };
  return tables.map(part).join("");
}

/** What takes the chains away that nobody uses any more, once our own rules are gone. `wasShared`: the jumps between them. */
export function planTeardown(dump: Dump, wasShared: readonly Rule[]): string {
  const webs = tables.map((table) => webOf(table, dump.get(table), wasShared));
  // An engine without published ports has rules in one table only and needs the others' chains all the same.
  if (webs.some((web) => web.foreign.some((chain) => chain !== "DOCKER-USER"))) return "";
  return webs.map(withoutWeb).join("");
}

interface Web {
  readonly table: Table;
  readonly there: DumpedTable | undefined;
  /** Our chains that exist. */
  readonly present: readonly string[];
  readonly jumps: readonly Rule[];
  /** Those with a rule of somebody else. */
  readonly foreign: readonly string[];
}

function webOf(table: Table, there: DumpedTable | undefined, wasShared: readonly Rule[]): Web {
  const present = chains[table].filter((chain) => there?.chains.has(chain));
  const jumps = wasShared.filter((rule) => rule.table === table);
  const isHarmless = (chain: string, text: string): boolean =>
    jumps.some((rule) => rule.chain === chain && rule.text === text) ||
    (chain === "DOCKER-USER" && text === "-j RETURN");
  const foreign = present.filter((chain) => (there?.chains.get(chain) ?? []).some((text) => !isHarmless(chain, text)));
  return { table, there, present, jumps, foreign };
}

function withoutWeb({ table, there, present, jumps, foreign }: Web): string {
  const removable = present.filter((chain) => !foreign.includes(chain));
  const leading = jumps.filter((rule) => removable.some((chain) => rule.text.endsWith(`-j ${chain}`)));
  const lines = [
    ...leading.flatMap((rule) => copies(there, rule).map(() => `-D ${rule.chain} ${rule.text}`)),
    ...removable.map((chain) => `-F ${chain}`),
    ...removable.map((chain) => `-X ${chain}`),
  ];
  return lines.length === 0 ? "" : `*${table}\n${lines.join("\n")}\nCOMMIT\n`;
}

const copies = (there: DumpedTable | undefined, rule: Rule): readonly string[] =>
  (there?.chains.get(rule.chain) ?? []).filter((text) => text === rule.text);
