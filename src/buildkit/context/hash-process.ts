/** Hashes of many files, made by a process of its own: reading them stays off the daemon's loop. */
import { createHash } from "node:crypto";
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { HullError } from "../../platform/errors.ts";
import { roleInvocation } from "../../platform/paths.ts";
import { writeNow } from "../../platform/standard-output.ts";
import { encodePath } from "../files/path-text.ts";
import { outcomeOf, spawnGroup } from "./keel-process.ts";

/** First argument of the role in the process; the second is a file with a list of HashingText. */
export const HASH_ARGUMENT = "hash-files";

/** Base64 of a header, and the file whose bytes follow it (path-text.ts); "" for none. */
export interface HashingText {
  readonly header: string;
  readonly file: string;
}

const BUFFER_BYTES = 256 * 1024;

/** Hexadecimal sha256 of each of a list's, in its order. Abort kills the process. */
export async function hashesOf(list: string, signal: AbortSignal): Promise<readonly string[]> {
  const { file, args } = roleInvocation("hull-buildkitd");
  const child = spawnGroup(file, [...args, HASH_ARGUMENT, list], ["ignore", "pipe", "pipe"]);
  const parts: Buffer[] = [];
  child.stdout!.on("data", (chunk: Buffer) => parts.push(chunk));
  const { code, said } = await outcomeOf(child, signal);
  if (code !== 0) throw new HullError("internal", `hash the files that are copied: ${said.trim()}`);
  return JSON.parse(Buffer.concat(parts).toString()) as string[];
}

/** The process. Answers its exit code. */
export function hashFiles(list: string): number {
  const buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  try {
    const all = JSON.parse(readFileSync(list, "utf8")) as HashingText[];
    writeNow("stdout", JSON.stringify(all.map((one) => hashAfter(one, buffer))));
    return 0;
  } catch (error) {
    writeNow("stderr", `${(error as Error).message}\n`);
    return 1;
  }
}

function hashAfter({ header, file }: HashingText, buffer: Buffer): string {
  const hash = createHash("sha256").update(Buffer.from(header, "base64"));
  if (file === "") return hash.digest("hex");
  const fd = openSync(encodePath(file), "r");
  try {
    for (let read = readSync(fd, buffer); read > 0; read = readSync(fd, buffer)) hash.update(buffer.subarray(0, read));
  } finally {
    closeSync(fd);
  }
  return hash.digest("hex");
}
