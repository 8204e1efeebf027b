/**
 * What clients' sessions sent before: files in the store of contexts, and of each client's directory what it had, so that only what has changed
 * travels.
 */
import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { FairLock } from "../../platform/fair-lock.ts";
import type { ContextStore, ReceiveOptions, Receiver } from "../control/synced-contexts.ts";
import type { FileEntry, FileTree } from "../files/entry.ts";
import { comparePaths } from "../files/path-text.ts";
import { decodeIndex, encodeIndex } from "../files/tree-index.ts";
import { FileTar } from "./file-tar.ts";
import type { LocalDirectory } from "./gather.ts";

export interface ClientContextsOptions {
  /** `<data-root>/buildkit/contexts` */
  readonly directory: string;
  /** Takes a tar into the store; waits its turn. */
  readonly receive: (body: AsyncIterable<Uint8Array>, options: ReceiveOptions) => Promise<FileTree>;
  /** Reads files of a directory of this machine into the store; waits its turn. */
  readonly gather: ContextStore["gather"];
}

/** Lists of directories that stay in memory. */
const MOST_REMEMBERED = 8;
/** A client that is slow does not keep others of its directory waiting for ever: they receive it themselves then. */
const TURN_MS = 30_000;

export class ClientContexts implements ContextStore {
  readonly directory: string;
  readonly #lists: string;
  readonly #remembered = new Map<string, ReadonlyMap<string, FileEntry>>();
  readonly #turns = new Map<string, FairLock>();
  #writes = 0;

  constructor(private readonly options: ClientContextsOptions) {
    this.directory = join(options.directory, "objects");
    this.#lists = join(options.directory, "clients");
    mkdirSync(this.#lists, { recursive: true, mode: 0o700 });
  }

  async recall(key: string): Promise<ReadonlyMap<string, FileEntry>> {
    const found = this.#remembered.get(key) ?? (await this.#read(this.#pathOf(key)));
    this.#keep(key, found);
    return found;
  }

  async remember(key: string, entries: readonly FileEntry[]): Promise<void> {
    const sorted = entries.filter(({ hardLinkTo }) => hardLinkTo === "").sort((a, b) => comparePaths(a.path, b.path));
    this.#keep(key, new Map(sorted.map((entry) => [entry.path, entry])));
    const path = this.#pathOf(key);
    const temporary = `${path}.${process.pid}.${this.#writes++}`;
    await writeFile(temporary, encodeIndex(sorted), { mode: 0o600 });
    await rename(temporary, path);
  }

  gather(
    directory: LocalDirectory,
    files: readonly FileEntry[],
    options: ReceiveOptions,
  ): Promise<readonly FileEntry[] | undefined> {
    return this.options.gather(directory, files, options);
  }

  async turn(key: string, signal: AbortSignal): Promise<Disposable> {
    const lock = this.#turns.get(key) ?? new FairLock();
    this.#turns.set(key, lock);
    const patience = AbortSignal.timeout(TURN_MS);
    const release = await lock.acquire("exclusive", AbortSignal.any([signal, patience])).catch((error: unknown) => {
      if (!patience.aborted || signal.aborted) throw error;
      return () => {};
    });
    return {
      [Symbol.dispose]: () => {
        release();
        if (!lock.isHeld && this.#turns.get(key) === lock) this.#turns.delete(key);
      },
    };
  }

  async receive(options: ReceiveOptions): Promise<Receiver> {
    return new TarReceiver((tar) => this.options.receive(tar, options));
  }

  #pathOf(key: string): string {
    return join(this.#lists, createHash("sha256").update(key).digest("hex"));
  }

  #keep(key: string, entries: ReadonlyMap<string, FileEntry>): void {
    this.#remembered.delete(key);
    this.#remembered.set(key, entries);
    if (this.#remembered.size > MOST_REMEMBERED) this.#remembered.delete(this.#remembered.keys().next().value!);
  }

  /** One that can't be read is as if there were none: everything travels again. */
  async #read(path: string): Promise<ReadonlyMap<string, FileEntry>> {
    try {
      return new Map(decodeIndex(await readFile(path)).map((entry) => [entry.path, entry]));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") await rm(path, { force: true });
      return new Map();
    }
  }
}

/** Begins to take with the first file: most builds have none to send. */
class TarReceiver implements Receiver {
  #tar: FileTar | undefined;
  #taken: Promise<FileTree> | undefined;

  constructor(private readonly take: (tar: FileTar) => Promise<FileTree>) {}

  async begin(entry: FileEntry): Promise<void> {
    if (!this.#tar) {
      this.#tar = new FileTar();
      this.#taken = this.take(this.#tar);
      this.#taken.catch((error: Error) => this.#tar?.fail(error));
    }
    await this.#tar.begin(entry);
  }

  write(data: Uint8Array): Promise<void> {
    return this.#tar!.write(data);
  }

  end(): Promise<void> {
    return this.#tar!.end();
  }

  async finish(): Promise<readonly string[]> {
    if (!this.#tar || !this.#taken) return [];
    await this.#tar.finish();
    const { entries } = await this.#taken;
    const byName = new Map(entries.map(({ path, sha256 }) => [path, sha256]));
    return Array.from({ length: this.#tar.count }, (_, i) => byName.get(String(i)) ?? "");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#tar?.fail(new Error("the context was given up"));
    await this.#taken?.catch(() => undefined);
  }
}
