/** Contexts that come as a tar, taken into the store of contexts by `keel ingest`: every file is one object there, however many builds have it. */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { operation } from "../../keel/plan.ts";
import type { KeelServe } from "../../keel/serve.ts";
import { messageOf } from "../../platform/errors.ts";
import type { FileEntry, FileTree } from "../files/entry.ts";
import { type IngestTarget, ingestArchive, ingestUpload, type Upload } from "./apply-archive.ts";
import { gatherFiles, type LocalDirectory } from "./gather.ts";
import { entriesIn } from "./keel-files.ts";

export interface ReceiverOptions {
  readonly keel: Pick<KeelServe, "run">;
  /** `<data-root>/buildkit/contexts` */
  readonly directory: string;
  readonly warn: (message: string) => void;
}

export interface ContextBody {
  readonly body: AsyncIterable<Uint8Array>;
  readonly upload?: Upload | undefined;
}

export class ContextReceiver {
  readonly #objects: string;
  /** Removals that nobody waits for. */
  readonly #endings = new Set<Promise<void>>();

  constructor(private readonly options: ReceiverOptions) {
    this.#objects = join(options.directory, "objects");
    mkdirSync(this.#objects, { recursive: true, mode: 0o700 });
  }

  /**
   * What a builder that was killed left half received goes. Objects are not synced, as nothing is lost with them but a client's next upload: after the machine
   * has started anew they may be damaged, so all of them go, and what was remembered of clients.
   */
  async recover(): Promise<void> {
    await this.#forgetOthersBoot();
    const isLeft = (name: string) => name.startsWith("incoming-");
    for (const name of readdirSync(this.options.directory).filter(isLeft)) await this.#remove(name);
    for (const name of readdirSync(this.#objects).filter(isLeft)) unlinkSync(join(this.#objects, name));
  }

  /** What was received is used; what it was taken from has gone too, which keel is needed for. */
  async settled(): Promise<void> {
    await Promise.all(this.#endings);
  }

  async #forgetOthersBoot(): Promise<void> {
    const { directory } = this.options;
    const mark = join(directory, "boot-id");
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8");
    if (existsSync(mark) && readFileSync(mark, "utf8") === boot) return;
    for (const name of ["objects", "clients"]) await this.#remove(name);
    mkdirSync(this.#objects, { recursive: true, mode: 0o700 });
    writeFileSync(mark, boot);
  }

  /** A tar. Where `upload` says that keel can read it itself, its bytes do not pass through here. */
  receive({ body, upload }: ContextBody, signal: AbortSignal): Promise<FileTree> {
    return this.#taken(async (path, target) => {
      if (upload && (await ingestUpload(upload, target))) return;
      await spool(body, path);
      await ingestArchive(path, target);
    }, signal);
  }

  /** An archive that `write` makes at a path. */
  receiveWritten(write: (path: string) => Promise<void>, signal: AbortSignal): Promise<FileTree> {
    return this.#taken(async (path, target) => {
      await write(path);
      await ingestArchive(path, target);
    }, signal);
  }

  /** An archive that is there, and stays. */
  receiveFile(archive: string, signal: AbortSignal): Promise<FileTree> {
    return this.#taken((_, target) => ingestArchive(archive, target), signal);
  }

  #taken(take: (path: string, target: IngestTarget) => Promise<void>, signal: AbortSignal): Promise<FileTree> {
    return this.#incoming(async (scratch) => {
      const target = { objects: this.#objects, index: join(scratch, "index"), signal };
      await take(join(scratch, "archive"), target);
      return { entries: await entriesIn(target.index), source: { kind: "store", directory: this.#objects } };
    });
  }

  /** Files of a directory of this machine, with their hashes; undefined when it can't be had. */
  gather(
    directory: LocalDirectory,
    files: readonly FileEntry[],
    signal: AbortSignal,
  ): Promise<FileEntry[] | undefined> {
    return this.#incoming((scratch) => gatherFiles(directory, files, { objects: this.#objects, scratch, signal }));
  }

  async #incoming<T>(work: (scratch: string) => Promise<T>): Promise<T> {
    const name = `incoming-${randomBytes(8).toString("hex")}`;
    const path = join(this.options.directory, name);
    mkdirSync(path, { mode: 0o700 });
    try {
      return await work(path);
    } finally {
      const ending = this.#remove(name)
        .catch((error: unknown) => this.options.warn(`${path}: ${messageOf(error)}`))
        .finally(() => this.#endings.delete(ending));
      this.#endings.add(ending);
    }
  }

  async #remove(name: string): Promise<void> {
    const path = join(this.options.directory, name);
    await this.options.keel.run([
      operation("removeTree", { path }, { tolerate: ["ENOENT"], cause: "a received context" }),
    ]);
  }
}

/** On the disk before it is unpacked: a pipe to a child is ten times as slow as a file. */
async function spool(body: AsyncIterable<Uint8Array>, path: string): Promise<void> {
  await using file = await open(path, "wx", 0o600);
  for await (const chunk of body)
    for (let done = 0; done < chunk.length; ) done += (await file.write(chunk, done)).bytesWritten;
}
