/**
 * By what an engine knows its interfaces again, and by what others see that they are somebody's: the interface group (given in the very
 * message that makes the interface) and, on bridges, an alias that names the engine for people: `hull <id> <exec root>`.
 * The id stands in the exec root: a root that was deleted and made again is another engine.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { HullError } from "../platform/errors.ts";
import type { Link } from "./netlink/link.ts";

export interface EngineMark {
  /** 16 hex digits. */
  readonly id: string;
  /** IFLA_GROUP of everything the engine makes on the host; the next number is what is to be deleted. */
  readonly group: number;
  /** IFLA_IFALIAS of its bridges. */
  readonly alias: string;
}

const GROUP_BASE = 0x40000000;
const GROUP_END = 0x7fffffff;
const ID = /^[0-9a-f]{16}$/;
const ALIAS = /^hull ([0-9a-f]{16}) (\/.*)$/;

export const doomedGroup = (group: number): number => group + 1;

export function engineMark(id: string, execRoot: string): EngineMark {
  const hash = createHash("sha256").update(id).digest().readUInt32BE(0);
  return { id, group: (GROUP_BASE | (hash & 0x0ffffffe)) >>> 0, alias: `hull ${id} ${execRoot}` };
}

const idPath = (execRoot: string): string => join(execRoot, "network", "engine-id");

/** The mark of the engine of this root, made at its first start. Throws failed-precondition for an id that is none. */
export function openEngineMark(execRoot: string): EngineMark {
  const path = idPath(execRoot);
  const there = readId(execRoot);
  if (there !== undefined) {
    if (ID.test(there)) return engineMark(there, execRoot);
    throw new HullError("failed-precondition", `${path} holds no engine id: delete it while no container runs`);
  }
  const id = randomBytes(8).toString("hex");
  mkdirSync(dirname(path), { recursive: true, mode: 0o711 });
  writeFileSync(`${path}.new`, `${id}\n`, { mode: 0o644 });
  renameSync(`${path}.new`, path);
  return engineMark(id, execRoot);
}

function readId(execRoot: string): string | undefined {
  try {
    return readFileSync(idPath(execRoot), "utf8").trim();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}

export type Owner = "ours" | "another" | "nobody";

/** Whose interface it is, among engines of our kind. */
export function ownerOf(link: Link, mark: EngineMark): Owner {
  if (link.group === mark.group || link.group === doomedGroup(mark.group)) return "ours";
  return link.group >= GROUP_BASE && link.group <= GROUP_END ? "another" : "nobody";
}

export interface MarkedRoot {
  readonly id: string;
  readonly execRoot: string;
}

/** What the alias of a bridge says; undefined: none of ours. */
export function parseAlias(alias: string): MarkedRoot | undefined {
  const [, id, execRoot] = ALIAS.exec(alias) ?? [];
  return id && execRoot ? { id, execRoot } : undefined;
}

/** The engine that wrote the alias has lost its root: it cannot come back. */
export const rootIsGone = (root: MarkedRoot): boolean => readId(root.execRoot) !== root.id;

/**
 * Bridges of engines whose root is gone and that have no other interface left: no container of theirs can be connected, and a living
 * engine (whose root this process might just not see) keeps namespaces ready, whose interfaces show it.
 */
export function abandonedBridges(links: readonly Link[], mark: EngineMark, isGone = rootIsGone): Link[] {
  const bridges = links.filter((link) => link.kind === "bridge" && ownerOf(link, mark) === "another");
  return bridges.filter((bridge) => {
    const root = parseAlias(bridge.alias);
    const groups = [bridge.group, doomedGroup(bridge.group)];
    const hasOthers = links.some((link) => link.kind !== "bridge" && groups.includes(link.group));
    const hasPorts = links.some((link) => link.master === bridge.index);
    return root !== undefined && !hasOthers && !hasPorts && isGone(root);
  });
}
