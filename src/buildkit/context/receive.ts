/**
 * Contexts that come as a tar: unpacked by `keel apply` (any compression, confined to its directory), then taken into the store of contexts, where every
 * file is one object, however many builds have it.
 */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, readdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Writable } from "node:stream";
import { operation } from "../../keel/plan.ts";
import type { KeelServe } from "../../keel/serve.ts";
import { keelPath } from "../../platform/paths.ts";
import type { FileTree } from "../files/entry.ts";
import { archiveError } from "./apply-archive.ts";
import type { FileWorker } from "./file-worker.ts";
import { entriesIn } from "./worker-files.ts";

export interface ReceiverOptions {
  readonly keel: Pick<KeelServe, "run">;
  readonly worker: FileWorker;
  /** `<data-root>/buildkit/contexts` */
  readonly directory: string;
}

export class ContextReceiver {
  readonly #objects: string;

  constructor(private readonly options: ReceiverOptions) {
    this.#objects = join(options.directory, "objects");
    mkdirSync(this.#objects, { recursive: true, mode: 0o700 });
  }

  /** What a builder that was killed left half received. */
  async recover(): Promise<void> {
    for (const name of readdirSync(this.options.directory)) if (name.startsWith("incoming-")) await this.#remove(name);
  }

  async receive(body: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<FileTree> {
    const name = `incoming-${randomBytes(8).toString("hex")}`;
    const path = join(this.options.directory, name);
    mkdirSync(join(path, "files"), { recursive: true, mode: 0o700 });
    try {
      await unpack(body, join(path, "files"), signal);
      const { worker } = this.options;
      const index = join(path, "index");
      await worker.ask({ kind: "ingest", directory: join(path, "files"), objects: this.#objects, index }, signal);
      return { entries: await entriesIn(index), source: { kind: "store", directory: this.#objects } };
    } finally {
      await this.#remove(name);
    }
  }

  async #remove(name: string): Promise<void> {
    const path = join(this.options.directory, name);
    await rm(join(path, "index"), { force: true });
    await this.options.keel.run([
      operation("removeTree", { path }, { tolerate: ["ENOENT"], cause: "a received context" }),
    ]);
  }
}

async function unpack(body: AsyncIterable<Uint8Array>, directory: string, signal: AbortSignal): Promise<void> {
  const child = spawn(keelPath(), ["apply", "--directory", directory], { stdio: ["pipe", "ignore", "pipe"] });
  const kill = () => void child.kill("SIGKILL");
  signal.addEventListener("abort", kill, { once: true });
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-4096);
  });
  const ended = once(child, "close") as Promise<[number | null]>;
  try {
    await feed(child.stdin, body);
    const [code] = await ended;
    signal.throwIfAborted();
    if (code !== 0) throw archiveError(said);
  } catch (error) {
    kill();
    await ended;
    throw error;
  } finally {
    signal.removeEventListener("abort", kill);
  }
}

async function feed(stdin: Writable, body: AsyncIterable<Uint8Array>): Promise<void> {
  let broken = false;
  stdin.on("error", () => {
    broken = true; // keel has ended: what it said is the error.
  });
  for await (const chunk of body) {
    if (broken || stdin.destroyed) continue; // The rest is read, so that the client gets to see the answer.
    if (!stdin.write(chunk)) await Promise.race([once(stdin, "drain"), once(stdin, "close")]).catch(() => undefined);
  }
  stdin.end();
}
