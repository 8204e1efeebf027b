/** Which interface is the default bridge. Pure. */
import { HullError } from "../../platform/errors.ts";
import { type EngineMark, ownerOf, parseAlias } from "../engine-mark.ts";
import type { Link } from "../netlink/link.ts";
import type { FoundBridge } from "../record.ts";

export const OWN_BRIDGE = "hull";
const MOST_ENGINES = 1000;

export interface BridgeWish {
  /** `--bridge`; empty: chosen. */
  readonly asked: string;
  /** Of an earlier start; empty: none. */
  readonly before: string;
  /** Names of this engine's other bridges. */
  readonly used: readonly string[];
  readonly links: readonly Link[];
  readonly mark: EngineMark;
}

export interface ChosenBridge {
  readonly name: string;
  /** It is there and is nobody's: used, and left behind as it was. */
  readonly found?: FoundBridge;
}

/** Throws conflict when the bridge asked for is another engine's, or is no bridge. */
export function chooseBridge(wish: BridgeWish): ChosenBridge {
  return wish.asked === "" ? { name: freeName(wish) } : askedBridge(wish);
}

/** The earlier one, else the first of hull0, hull1, ... that nobody has. */
function freeName({ before, used, links, mark }: BridgeWish): string {
  const earlier = /^hull\d+$/.test(before) ? [before] : [];
  const names = [...earlier, ...Array.from({ length: MOST_ENGINES }, (_, number) => `${OWN_BRIDGE}${number}`)];
  const free = names.find((name) => {
    const link = links.find((one) => one.name === name);
    return !used.includes(name) && (!link || (link.kind === "bridge" && ownerOf(link, mark) === "ours"));
  });
  if (free) return free;
  throw new HullError("resource-exhausted", `${names.at(-1)} and all before it are taken: give a name with --bridge`);
}

function askedBridge({ asked, used, links, mark }: BridgeWish): ChosenBridge {
  if (used.includes(asked)) throw refused(`--bridge ${asked}: another network of this engine has this bridge`);
  const link = links.find((one) => one.name === asked);
  if (!link) return { name: asked };
  if (link.kind !== "bridge") throw refused(`--bridge ${asked}: the interface exists and is no bridge`);
  const owner = ownerOf(link, mark);
  if (owner === "ours") return { name: asked };
  if (owner === "nobody") return { name: asked, found: { group: link.group, alias: link.alias } };
  throw belongsToAnother(link);
}

/** `refused` tells whoever starts netd that another try will not help. */
const refused = (why: string): HullError =>
  new HullError("conflict", `${why}: give another name with --bridge, or none to have one chosen`, {
    facts: { refused: "bridge" },
  });

/** The text also says where the other engine is, when its alias does. */
export function belongsToAnother(link: Link): HullError {
  const root = parseAlias(link.alias);
  const where = root ? ` (exec root ${root.execRoot})` : "";
  return refused(`the bridge ${link.name} belongs to another hull engine${where}`);
}
