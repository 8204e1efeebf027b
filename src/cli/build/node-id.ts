/** Tells this user's directories from those of others with the same path: part of the keys under which the daemon remembers what it has. */
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { hostname, userInfo } from "node:os";
import { readIfThere } from "../../platform/quick-file.ts";

const FORM = /^[0-9a-f]{32}$/;

/** Made once; where it cannot be kept, it is made of the host's and the user's names. */
export function nodeId(configDirectory: string): string {
  const directory = `${configDirectory}/hull`;
  const known = readIfThere(`${directory}/node-id`)?.trim() ?? "";
  if (FORM.test(known)) return known;
  const made = randomBytes(16).toString("hex");
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    writeFileSync(`${directory}/node-id`, `${made}\n`, { mode: 0o600 });
    return made;
  } catch {
    return digest(`${hostname()}:${userInfo().uid}`).slice(0, 32);
  }
}

export const sharedKey = (node: string, directory: string): string => digest(`${node}:${directory}`);

const digest = (text: string): string => createHash("sha256").update(text).digest("hex");
