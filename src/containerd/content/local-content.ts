/** ContentStore on a directory: `blobs/sha256/<hex>` and `ingest/<name>/`. Hashing and syncing happen in keel. */

import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { type FileHandle, open, readdir, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { again } from "../../keel/again.ts";
import { operation } from "../../keel/plan.ts";
import { type Digest, digestOfHash, hexOf } from "../../oci/digest.ts";
import { HullError } from "../../platform/errors.ts";
import type { Kernel } from "../kernel.ts";
import type { Database } from "../store/database.ts";
import { asJson, Records } from "../store/records.ts";
import type {
  BlobInfo,
  CommitRequest,
  ContentStore,
  ContentWriter,
  IngestStatus,
  WriterRequest,
} from "./content-store.ts";
import { type Ingest, ingestName, listIngests, openIngest, removeIngest, statusOf, sweepIngests } from "./ingest.ts";
import type { Remake } from "./remade-blobs.ts";

const MAX_REF_BYTES = 4096;

export interface LocalContentOptions {
  readonly root: string;
  readonly db: Database;
  readonly kernel: Kernel;
  /** For blobs whose bytes are not kept. */
  readonly remake?: Remake;
  /** Told after a blob became visible or went. */
  readonly onChange?: (namespace: string, change: "create" | "delete", blob: BlobInfo) => void;
}

/** Lifecycle: the path is written to by who receives -> `publish` once the bytes are verified, or disposal: the ingest stays then. */
export interface Receipt extends AsyncDisposable {
  readonly path: string;
  publish(labels: BlobInfo["labels"]): Promise<BlobInfo>;
}

export class LocalContent implements ContentStore {
  readonly #records: Records<BlobInfo>;
  readonly #writing = new Set<string>();
  /** Files on their way out: one of the same bytes comes after that. */
  readonly #leaving = new Map<Digest, Promise<unknown>>();

  constructor(private readonly options: LocalContentOptions) {
    this.#records = new Records<BlobInfo>({ db: options.db, table: "content", ...asJson<BlobInfo>() });
    mkdirSync(join(options.root, "blobs", "sha256"), { recursive: true, mode: 0o711 });
    mkdirSync(join(options.root, "ingest"), { recursive: true, mode: 0o700 });
    mkdirSync(join(options.root, "remade"), { recursive: true, mode: 0o700 });
  }

  info(namespace: string, digest: Digest): BlobInfo {
    const found = this.find(namespace, digest);
    if (found === undefined) throw new HullError("not-found", `content ${digest}: not found`);
    return found;
  }

  find(namespace: string, digest: Digest): BlobInfo | undefined {
    return this.#records.find(namespace, digest);
  }

  list(namespace: string): BlobInfo[] {
    return this.#records.list(namespace);
  }

  /** Namespaces that have a blob. */
  namespaces(): string[] {
    return this.#records.namespaces();
  }

  label(namespace: string, digest: Digest, labels: Readonly<Record<string, string>>): BlobInfo {
    const next = { ...this.info(namespace, digest), labels, updatedAt: Date.now() };
    this.#records.put(namespace, digest, next);
    return next;
  }

  path(namespace: string, digest: Digest): string {
    this.info(namespace, digest);
    return this.blobPath(digest);
  }

  /** One that is made for it has no name: it goes with its last reader. */
  async open(namespace: string, digest: Digest): Promise<FileHandle> {
    try {
      return await open(this.path(namespace, digest), "r");
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
    const made = await this.#remake(namespace, digest);
    try {
      return await open(made, "r");
    } finally {
      await this.options.kernel.run([operation("unlink", { path: made }, { cause: `content ${digest}` })]);
    }
  }

  /** As `path`, where there is a file for sure. */
  async file(namespace: string, digest: Digest): Promise<string> {
    const path = this.path(namespace, digest);
    try {
      await stat(path);
    } catch (error) {
      if (!isMissing(error)) throw error;
      await this.#settle(await this.#remake(namespace, digest), digest);
    }
    return path;
  }

  /** Records a blob whose bytes can be made (remade-blobs.ts). One that is there gets the labels. */
  know(namespace: string, { digest, size, labels }: Pick<BlobInfo, "digest" | "size" | "labels">): BlobInfo {
    return this.#record(namespace, digest, size, labels);
  }

  /** The caller takes it away; of a process that is killed `sweep` does. */
  async #remake(namespace: string, digest: Digest): Promise<string> {
    const blob = this.info(namespace, digest);
    if (!this.options.remake) throw new HullError("not-found", `content ${digest}: its file is missing`);
    const path = join(this.options.root, "remade", randomBytes(8).toString("hex"));
    await this.options.remake(namespace, blob, path);
    return path;
  }

  async delete(namespace: string, digest: Digest): Promise<void> {
    const blob = this.info(namespace, digest);
    this.#records.delete(namespace, digest);
    const elsewhere = this.#records.namespaces().some((space) => this.find(space, digest) !== undefined);
    if (!elsewhere) {
      const gone = this.#unlink([digest]).finally(() => this.#leaving.delete(digest));
      this.#leaving.set(digest, gone);
      await gone;
    }
    this.options.onChange?.(namespace, "delete", blob);
  }

  /** At start: deletes files without a record and what an earlier process was writing for itself. */
  async sweep(): Promise<void> {
    const known = new Set(this.namespaces().flatMap((space) => this.list(space).map(({ digest }) => hexOf(digest))));
    const orphans = (await readdir(join(this.options.root, "blobs", "sha256"))).filter((name) => !known.has(name));
    if (orphans.length > 0) await this.#unlink(orphans.map((name) => `sha256:${name}` as Digest));
    const remade = join(this.options.root, "remade");
    for (const name of await readdir(remade)) await rm(join(remade, name));
    await sweepIngests(join(this.options.root, "ingest"));
  }

  async #unlink(digests: readonly Digest[]): Promise<void> {
    const options = { tolerate: ["ENOENT"], cause: "blob without user" } as const;
    const steps = digests.map((digest) => operation("unlink", { path: this.blobPath(digest) }, options));
    await again(() => this.options.kernel.run(steps));
  }

  async openWriter(namespace: string, request: WriterRequest): Promise<ContentWriter> {
    const { ref, expected } = request;
    if (ref === "" || Buffer.byteLength(ref) > MAX_REF_BYTES) {
      throw new HullError("invalid-argument", `a content ref has 1 to ${MAX_REF_BYTES} bytes`);
    }
    if (expected !== undefined && this.find(namespace, expected) !== undefined) {
      throw new HullError("already-exists", `content ${expected}: already exists`);
    }
    const name = ingestName(namespace, ref);
    if (this.#writing.has(name)) throw new HullError("unavailable", `ref ${ref} locked: another writer has it`);
    this.#writing.add(name);
    try {
      const head = { namespace, ref, total: request.total ?? 0, expected: expected ?? "" };
      const ingest = await openIngest(this.#ingestPath(name), head);
      return new LocalWriter(this, ingest, () => this.#writing.delete(name));
    } catch (error) {
      this.#writing.delete(name);
      throw error;
    }
  }

  /** An ingest that another process of ours writes and verifies; one that was begun before goes on. Throws as `openWriter`. */
  async receive(namespace: string, request: Required<WriterRequest> & { readonly expected: Digest }): Promise<Receipt> {
    const writer = (await this.openWriter(namespace, request)) as LocalWriter;
    const { ingest } = writer;
    return {
      path: ingest.data,
      publish: async (labels) => {
        const blob = await this.adopt(namespace, ingest.data, { digest: request.expected, labels });
        await removeIngest(ingest.directory);
        return blob;
      },
      [Symbol.asyncDispose]: () => writer[Symbol.asyncDispose](),
    };
  }

  /** A file with the blob's bytes, for another process of ours; one that had to be made goes with the disposal. */
  async lend(namespace: string, digest: Digest): Promise<AsyncDisposable & { readonly path: string }> {
    const path = this.path(namespace, digest);
    try {
      await stat(path);
      return { path, [Symbol.asyncDispose]: async () => {} };
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
    const made = await this.#remake(namespace, digest);
    return { path: made, [Symbol.asyncDispose]: () => rm(made, { force: true }) };
  }

  ingests(namespace: string): Promise<IngestStatus[]> {
    return listIngests(join(this.options.root, "ingest"), namespace);
  }

  async abort(namespace: string, ref: string): Promise<void> {
    const removed = await removeIngest(this.#ingestPath(ingestName(namespace, ref)));
    if (!removed) throw new HullError("not-found", `ingest "${ref}": not found`);
  }

  /**
   * Takes a file of the data root over as a blob whose digest keel has computed already. The file is moved away, or
   * deleted when the blob is there.
   */
  async adopt(
    namespace: string,
    path: string,
    blob: { readonly digest: Digest; readonly labels?: BlobInfo["labels"] },
  ): Promise<BlobInfo> {
    const { size } = await stat(path);
    await this.#settle(path, blob.digest);
    return this.#record(namespace, blob.digest, size, blob.labels ?? {});
  }

  /** Verifies and publishes a finished ingest. */
  async publish(ingest: Ingest, request: CommitRequest): Promise<BlobInfo> {
    const { namespace, ref, expected: declared } = ingest.head;
    const outcome = await this.options.kernel.run([
      operation("hashFile", { path: ingest.data }, { cause: `content ${ref}` }),
    ]);
    const digest = digestOfHash(outcome.outputs.get(0)!.subarray(0, 32));
    const expected = request.expected ?? (declared === "" ? undefined : (declared as Digest));
    if (request.size !== 0 && request.size !== ingest.offset) {
      throw new HullError("failed-precondition", `unexpected commit size ${ingest.offset}, expected ${request.size}`);
    }
    if (expected !== undefined && digest !== expected) {
      throw new HullError("failed-precondition", `unexpected commit digest ${digest}, expected ${expected}`);
    }
    if (this.find(namespace, digest) !== undefined) {
      throw new HullError("already-exists", `content ${digest}: already exists`);
    }
    await this.#settle(ingest.data, digest);
    return this.#record(namespace, digest, ingest.offset, request.labels ?? {});
  }

  /** fsync, rename, fsync of the directory: the blob is whole or not there. */
  async #settle(from: string, digest: Digest): Promise<void> {
    const to = this.blobPath(digest);
    const cause = `content ${digest}`;
    await this.#leaving.get(digest)?.catch(() => undefined); // Then the file is as it was.
    await this.options.kernel.run([
      operation("chmod", { path: from, mode: 0o444 }, { cause }),
      operation("fsyncPath", { path: from }, { cause }),
      operation("rename", { from, to }, { cause }),
      operation("fsyncPath", { path: dirname(to) }, { cause }),
    ]);
  }

  #record(namespace: string, digest: Digest, size: number, labels: BlobInfo["labels"]): BlobInfo {
    const now = Date.now();
    const before = this.find(namespace, digest);
    const blob = {
      digest,
      size,
      createdAt: before?.createdAt ?? now,
      updatedAt: now,
      labels: { ...before?.labels, ...labels },
    };
    this.#records.put(namespace, digest, blob);
    if (before === undefined) this.options.onChange?.(namespace, "create", blob);
    return blob;
  }

  /** Where the bytes are, or will be. */
  blobPath(digest: Digest): string {
    return join(this.options.root, "blobs", "sha256", hexOf(digest));
  }

  #ingestPath(name: string): string {
    return join(this.options.root, "ingest", name);
  }
}

const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === "ENOENT";

class LocalWriter implements ContentWriter {
  #open = true;

  constructor(
    private readonly store: LocalContent,
    readonly ingest: Ingest,
    private readonly release: () => void,
  ) {}

  status(): IngestStatus {
    return statusOf(this.ingest);
  }

  async write(bytes: Uint8Array): Promise<void> {
    let done = 0;
    while (done < bytes.length) {
      const { bytesWritten } = await this.ingest.file.write(bytes, done, bytes.length - done, this.ingest.offset);
      done += bytesWritten;
      this.ingest.offset += bytesWritten;
    }
    this.ingest.updatedAt = Date.now();
  }

  async truncate(offset: number): Promise<void> {
    await this.ingest.file.truncate(offset);
    this.ingest.offset = offset;
  }

  async commit(request: CommitRequest): Promise<BlobInfo> {
    try {
      const blob = await this.store.publish(this.ingest, request);
      await removeIngest(this.ingest.directory);
      return blob;
    } catch (error) {
      if (error instanceof HullError && ["failed-precondition", "already-exists"].includes(error.code)) {
        await removeIngest(this.ingest.directory);
      }
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    this.release();
    await this.ingest.file.close();
  }
}
