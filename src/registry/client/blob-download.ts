/**
 * A blob into a file: hashed while it comes, gone on with where it broke off, and of exactly the bytes that its descriptor says. A file that is there is the
 * beginning of it. What proves wrong is cut to nothing, so that nobody goes on with it.
 */
import { createHash, type Hash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { type Digest, digestOfHash } from "../../oci/digest.ts";
import { HullError } from "../../platform/errors.ts";
import type { WebResponse } from "../../platform/web-fetch.ts";
import { waitBefore } from "./backoff.ts";
import { isTransient, unanswered, whyOf } from "./failure.ts";
import type { Repository } from "./registry.ts";
import type { EndpointRequests } from "./requests.ts";

export interface BlobDownload {
  readonly digest: Digest;
  readonly size: number;
  readonly path: string;
  readonly onBytes: (soFar: number) => void;
  /** Told that it is tried again after so many seconds. */
  readonly onRetry: (seconds: number) => void;
  /** Without progress in between. */
  readonly attempts: number;
  readonly random?: () => number;
}

/** Without a byte for so long a connection counts as broken. */
const STALL_MS = 30_000;
const READ_BYTES = 1024 * 1024;
const WRITE_BYTES = 512 * 1024;

export async function downloadBlob(repository: Repository, blob: BlobDownload): Promise<void> {
  await using file = await open(blob.path, "a+", 0o600);
  await using target = await PartialBlob.open(file, blob);
  for (const [i, endpoint] of repository.able("pull").entries()) {
    const isLast = i === repository.able("pull").length - 1;
    try {
      await fromEndpoint(repository, endpoint, { blob, target });
      return await target.verify();
    } catch (error) {
      repository.access.signal.throwIfAborted();
      if (isLast) throw error;
    }
  }
  throw new HullError(
    "failed-precondition",
    `no host of ${repository.access.reference.domain} serves pulls: see its hosts.toml`,
  );
}

interface Download {
  readonly blob: BlobDownload;
  readonly target: PartialBlob;
}

async function fromEndpoint(
  repository: Repository,
  endpoint: EndpointRequests,
  { blob, target }: Download,
): Promise<void> {
  const { signal } = repository.access;
  let furthest = target.offset;
  for (let attempt = 1; target.offset < blob.size; ) {
    try {
      await readOn(repository, endpoint, { blob, target });
    } catch (error) {
      signal.throwIfAborted();
      if (target.offset > furthest) attempt = 1;
      furthest = Math.max(furthest, target.offset);
      if (attempt >= blob.attempts || !mayPass(error)) throw error;
      const onWait = (ms: number): void => blob.onRetry(Math.ceil(ms / 1000));
      await waitBefore(attempt, error, { signal, onWait, ...(blob.random && { random: blob.random }) });
      attempt += 1;
    }
  }
}

/** A registry that is started again refuses for a while. */
const mayPass = (error: unknown): boolean =>
  isTransient(error) || (error instanceof HullError && error.facts.why === "refused");

async function readOn(repository: Repository, endpoint: EndpointRequests, { blob, target }: Download): Promise<void> {
  const from = target.offset;
  const path = `/${repository.path}/blobs/${blob.digest}`;
  const stalled = new AbortController();
  const signal = AbortSignal.any([repository.access.signal, stalled.signal]);
  const headers: Record<string, string> = from > 0 ? { Range: `bytes=${from}-` } : {};
  const answer = await endpoint.expect([200, 206, 416], {
    method: "GET",
    path,
    headers,
    scopes: repository.scopes("pull"),
    signal,
  });
  await position(answer, target, from);
  const timer = setTimeout(() => stalled.abort(new DOMException("stalled", "TimeoutError")), STALL_MS);
  try {
    for await (const bytes of answer.body ?? []) {
      timer.refresh();
      await target.append(bytes);
    }
  } catch (error) {
    repository.access.signal.throwIfAborted();
    if (error instanceof HullError || whyOf(error) === "certificate") throw error;
    if ((error as NodeJS.ErrnoException).syscall === "write") throw error;
    throw unanswered(
      "GET",
      `https://${endpoint.target.endpoint.host}/v2${path}`,
      stalled.signal.aborted ? stalled.signal.reason : error,
    );
  } finally {
    clearTimeout(timer);
    await target.flush();
  }
  if (target.offset < blob.size)
    throw unanswered("GET", `https://${endpoint.target.endpoint.host}/v2${path}`, new Error("unexpected EOF"));
}

/** Where the answer's bytes begin. */
async function position(answer: WebResponse, target: PartialBlob, from: number): Promise<void> {
  if (answer.status === 416) {
    await target.restart();
    throw new HullError("unavailable", "the registry has not the rest of a blob", { facts: { why: "broken" } });
  }
  if (from === 0) return;
  const start = /^bytes (\d+)-/.exec(answer.headers.get("content-range") ?? "")?.[1];
  if (answer.status === 206 && start === String(from)) return;
  if (answer.status === 206)
    throw new HullError("unavailable", `the registry sent another range than byte ${from} and on`);
  await target.restart();
}

/** The bytes so far, in the file and in the hash. */
class PartialBlob implements AsyncDisposable {
  #hash: Hash = createHash("sha256");
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  offset = 0;

  private constructor(
    private readonly file: FileHandle,
    private readonly blob: BlobDownload,
  ) {}

  static async open(file: FileHandle, blob: BlobDownload): Promise<PartialBlob> {
    const partial = new PartialBlob(file, blob);
    const { size } = await file.stat();
    if (size > blob.size) await partial.restart();
    else await partial.#readBack(size);
    return partial;
  }

  async #readBack(size: number): Promise<void> {
    const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, Math.max(1, size)));
    while (this.offset < size) {
      const { bytesRead } = await this.file.read(buffer, 0, buffer.length, this.offset);
      if (bytesRead === 0) break;
      this.#hash.update(buffer.subarray(0, bytesRead));
      this.offset += bytesRead;
    }
    if (size > 0) this.blob.onBytes(this.offset);
  }

  /** Throws when the registry sends more than the descriptor says. */
  async append(bytes: Uint8Array): Promise<void> {
    if (this.offset + bytes.length > this.blob.size) {
      await this.restart();
      throw new HullError(
        "invalid-argument",
        `blob ${this.blob.digest} has more than the ${this.blob.size} bytes that its manifest says`,
      );
    }
    this.#hash.update(bytes);
    this.offset += bytes.length;
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    if (this.#waitingBytes >= WRITE_BYTES) await this.flush();
    this.blob.onBytes(this.offset);
  }

  async flush(): Promise<void> {
    const pieces = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    // Opened for appending: each piece goes to the end.
    for (const piece of pieces) {
      for (let done = 0; done < piece.length; ) {
        done += (await this.file.write(piece, done, piece.length - done)).bytesWritten;
      }
    }
  }

  async restart(): Promise<void> {
    this.#waiting = [];
    this.#waitingBytes = 0;
    await this.file.truncate(0);
    this.#hash = createHash("sha256");
    this.offset = 0;
  }

  async verify(): Promise<void> {
    await this.flush();
    const digest = digestOfHash(this.#hash.digest());
    if (digest === this.blob.digest) return;
    await this.restart();
    throw new HullError("invalid-argument", `filesystem layer verification failed for digest ${this.blob.digest}`, {
      facts: { got: digest },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.flush();
  }
}
