/** Who owns what COPY, ADD and WORKDIR make: "user:group" with names of the destination's /etc/passwd and /etc/group. */
import { HullError } from "../../platform/errors.ts";

export interface OwnerIds {
  readonly uid: number;
  readonly gid: number;
}

/** Texts of the destination's files; "" when they are missing. */
export interface AccountFiles {
  readonly passwd: string;
  readonly group: string;
}

/** Names other than "root": only then are the account files worth reading. */
export const needsAccountFiles = (owner: string): boolean =>
  owner.split(":", 2).some((name) => name !== "" && numericId(name) === undefined);

/**
 * Without a group: a named user's own one, for a number the group of this number. Throws invalid-argument in the classic builder's words for names that
 * are nowhere, in every dialect: files that silently belong to root (as BuildKit leaves them) help nobody.
 */
export function resolveOwner(owner: string, files: AccountFiles): OwnerIds {
  const colon = owner.indexOf(":");
  const userText = colon < 0 ? owner : owner.slice(0, colon);
  const groupText = colon < 0 ? "" : owner.slice(colon + 1);
  const user = userText === "" ? { uid: 0, gid: 0 } : resolveUser(userText, files.passwd);
  return { uid: user.uid, gid: groupText === "" ? user.gid : resolveGroup(groupText, files.group) };
}

function resolveUser(name: string, passwd: string): OwnerIds {
  const id = numericId(name);
  if (id !== undefined) return { uid: id, gid: id };
  const [, , uid, gid] = accountLine(passwd, name) ?? [];
  if (!isId(uid) || !isId(gid)) throw unknownName("uid", "user", name);
  return { uid: Number(uid), gid: Number(gid) };
}

function resolveGroup(name: string, group: string): number {
  const id = numericId(name);
  if (id !== undefined) return id;
  const [, , gid] = accountLine(group, name) ?? [];
  if (!isId(gid)) throw unknownName("gid", "group", name);
  return Number(gid);
}

const isId = (text: string | undefined): text is string => text !== undefined && /^\d{1,10}$/.test(text);

/** Numbers up to 2^31 - 1 and "root", which needs no file. */
function numericId(name: string): number | undefined {
  if (name === "root") return 0;
  return isId(name) && Number(name) < 2 ** 31 ? Number(name) : undefined;
}

/** The fields of the first line of this name (passwd(5), group(5)). */
function accountLine(text: string, name: string): string[] | undefined {
  for (const line of text.split("\n")) {
    const fields = line.trim().split(":");
    if (fields[0] === name && fields.length >= 3) return fields;
  }
  return undefined;
}

const unknownName = (id: string, kind: string, name: string) =>
  new HullError(
    "invalid-argument",
    `unable to convert uid/gid chown string to host mapping: can't find ${id} for ${kind} ${name}: no such ${kind}: ${name}`,
  );
