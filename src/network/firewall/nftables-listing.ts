/** What `nft -j list table` prints, taken apart: elements of the port sets, and everything else as one text. Pure. */
import { type Elements, type PortSet, portSets } from "./nftables-render.ts";

export interface Listing {
  /** Of one process's writing only: it holds the kernel's numbers of the rules. */
  readonly structure: string;
  readonly rules: number;
  readonly elements: Elements;
}

interface Listed {
  readonly rule?: unknown;
  readonly metainfo?: unknown;
  readonly set?: ListedSet;
  readonly map?: ListedSet;
}
interface ListedSet {
  readonly name: string;
  readonly elem?: readonly unknown[];
}

/** `text` is JSON. Throws SyntaxError. */
export function parseListing(text: string): Listing {
  const { nftables } = JSON.parse(text) as { nftables: readonly Listed[] };
  const elements: Record<PortSet, string[]> = { open: [], any: [], one: [] };
  const rest = nftables.flatMap((object) => {
    if (object.metainfo !== undefined) return [];
    const set = object.set ?? object.map;
    const name = portSets.find((one) => one === set?.name);
    if (!set || !name) return [object];
    elements[name] = (set.elem ?? []).map(formatElement).toSorted();
    const { elem: _, ...declared } = set;
    return [declared];
  });
  const rules = rest.filter((object) => "rule" in object).length;
  return { structure: JSON.stringify(rest), rules, elements };
}

/** `{"concat": [a, b]}`, or a pair of those for a map's key and value, in nft's own notation. */
function formatElement(element: unknown): string {
  if (Array.isArray(element)) return element.map(formatElement).join(" : ");
  const { concat } = element as { concat?: readonly unknown[] };
  return concat ? concat.join(" . ") : JSON.stringify(element);
}
