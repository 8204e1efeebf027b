/** Bodies from and to files: an archive to load, an archive that is saved. */
import { createReadStream, createWriteStream } from "node:fs";
import { rename, rm, stat } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { HullError } from "../../platform/errors.ts";
import type { HttpResponse } from "../../platform/http-client.ts";
import { write } from "./output.ts";
import { stdinIsTerminal, stdoutIsTerminal } from "./terminal.ts";

/** The bytes of a file, or of stdin for "-" or none. */
export async function bodyFrom(path: string | undefined): Promise<AsyncIterable<Uint8Array>> {
  if (path === undefined || path === "-") {
    if (stdinIsTerminal()) throw new HullError("invalid-argument", "requested load from stdin, but stdin is empty");
    return process.stdin;
  }
  try {
    await stat(path);
  } catch (error) {
    throw new HullError("not-found", `open ${path}: no such file or directory`, { cause: error });
  }
  return createReadStream(path);
}

/** Writes an answer to a file (complete or not at all) or to stdout, which must be no terminal. */
export async function saveBody(response: HttpResponse, path: string | undefined): Promise<void> {
  if (path === undefined || path === "") {
    if (stdoutIsTerminal())
      throw new HullError("invalid-argument", "cowardly refusing to save to a terminal. Use the -o flag or redirect");
    for await (const chunk of response.body) await write("stdout", chunk);
    return;
  }
  const partial = `${path}.partial-${process.pid}`;
  try {
    await pipeline(response.body, createWriteStream(partial, { mode: 0o600 }));
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}
