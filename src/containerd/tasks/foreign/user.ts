/**
 * Who a process runs as, for runtimes that know numbers only: `process.user.username` ("name|uid[:group|gid]") and `additionalGroups`
 * looked up in the container's /etc/passwd and /etc/group.
 */
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { codeOf, during, HullError } from "../../../platform/errors.ts";

export interface SpecUser {
  readonly uid?: number;
  readonly gid?: number;
  readonly additionalGids?: readonly number[];
  readonly username?: string;
  readonly additionalGroups?: readonly string[];
  readonly [more: string]: unknown;
}

const MOST_BYTES = 1024 * 1024;
const MOST_ID = 0x7fffffff;

/** The user in numbers. Throws `invalid-argument` in runc's words for one that is not there. */
export async function numericUser(root: string, user: SpecUser): Promise<SpecUser> {
  if (user.username === undefined) return user;
  const [passwd, group] = await Promise.all([read(join(root, "etc/passwd")), read(join(root, "etc/group"))]);
  return resolveUser(user, passwd, group);
}

/** A regular file of the container's, small; anything else counts as none. The container may change it meanwhile. */
async function read(path: string): Promise<string> {
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stat = await file.stat();
    return stat.isFile() && stat.size <= MOST_BYTES ? await file.readFile("utf8") : "";
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "";
    if (codeOf(error) === "not-found" || ["ELOOP", "ENOTDIR"].includes(code)) return "";
    throw during(`read ${path}`, error);
  }
}

const rowsOf = (text: string): string[][] => text.split("\n").map((line) => line.trim().split(":"));

/** Pure. */
export function resolveUser(user: SpecUser, passwd: string, group: string): SpecUser {
  const { username = "", additionalGroups = [], ...rest } = user;
  const groups = rowsOf(group);
  const [name = "", groupName] = (username || "0").split(":");
  const row = rowsOf(passwd).find((fields) => fields[0] === name || fields[2] === name);
  const uid = row ? number(row[2]) : number(name);
  if (uid === undefined) throw missing("user", name, "passwd");
  const gid = groupName === undefined || groupName === "" ? (number(row?.[3]) ?? 0) : gidOf(groups, groupName);
  const memberOf = groupName || !row ? [] : groups.filter((fields) => fields[3]?.split(",").includes(row[0]!));
  const gids = [
    ...memberOf.flatMap((fields) => number(fields[2]) ?? []),
    ...additionalGroups.map((one) => gidOf(groups, one)),
  ];
  return { ...rest, uid, gid, additionalGids: [...new Set([...(user.additionalGids ?? []), ...gids])] };
}

function gidOf(groups: readonly string[][], name: string): number {
  const row = groups.find((fields) => fields[0] === name);
  const gid = row ? number(row[2]) : number(name);
  if (gid === undefined) throw missing("group", name, "group");
  return gid;
}

function number(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d+$/.test(text)) return undefined;
  if (Number(text) > MOST_ID) throw new HullError("invalid-argument", `uids and gids must be in range 0-${MOST_ID}`);
  return Number(text);
}

const missing = (what: string, name: string, file: string): HullError =>
  new HullError("invalid-argument", `unable to find ${what} ${name}: no matching entries in ${file} file`);
