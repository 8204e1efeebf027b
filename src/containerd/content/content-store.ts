/**
 * Blobs by digest.
 *
 * Lifecycle of a blob: `openWriter(ref)` starts or resumes an ingest, which outlives its writer and this process -> `write` at
 * the ingest's end -> `commit` verifies size and digest, makes it durable and visible in one step and ends the ingest;
 * `abort` ends it with nothing left. A blob never changes. A namespace sees the blobs that were committed or adopted in
 * it; the bytes go when the last namespace deletes its record (gc decides when).
 */
import type { FileHandle } from "node:fs/promises";
import type { Digest } from "../../oci/digest.ts";

export interface BlobInfo {
  readonly digest: Digest;
  readonly size: number;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly labels: Readonly<Record<string, string>>;
}

export interface IngestStatus {
  readonly ref: string;
  /** Bytes written so far. */
  readonly offset: number;
  /** 0: not known. */
  readonly total: number;
  readonly expected: string;
  readonly startedAt: number;
  readonly updatedAt: number;
}

export interface CommitRequest {
  /** 0: whatever was written. */
  readonly size: number;
  readonly expected?: Digest | undefined;
  readonly labels?: Readonly<Record<string, string>>;
}

/** One writer per ref at a time. Disposal closes the file; the ingest stays for a later writer. */
export interface ContentWriter extends AsyncDisposable {
  status(): IngestStatus;
  /** Appends. */
  write(bytes: Uint8Array): Promise<void>;
  /** Forgets bytes beyond `offset`. */
  truncate(offset: number): Promise<void>;
  /** Throws `failed-precondition` when size or digest differ, `already-exists` when the namespace has the blob. Both end the ingest. */
  commit(request: CommitRequest): Promise<BlobInfo>;
}

export interface WriterRequest {
  readonly ref: string;
  readonly total?: number;
  readonly expected?: Digest | undefined;
}

export interface ContentStore {
  /** Throws `not-found`. */
  info(namespace: string, digest: Digest): BlobInfo;
  find(namespace: string, digest: Digest): BlobInfo | undefined;
  list(namespace: string): BlobInfo[];
  /** Replaces the labels. */
  label(namespace: string, digest: Digest, labels: Readonly<Record<string, string>>): BlobInfo;
  /** Path of the bytes, for keel. Throws `not-found`. */
  path(namespace: string, digest: Digest): string;
  /** For reading; the caller closes it. */
  open(namespace: string, digest: Digest): Promise<FileHandle>;
  /** Throws `not-found`; the bytes go with the last namespace's record. */
  delete(namespace: string, digest: Digest): Promise<void>;
  /** Throws `unavailable` while another writer has the ref, `already-exists` when the expected blob is there. */
  openWriter(namespace: string, request: WriterRequest): Promise<ContentWriter>;
  ingests(namespace: string): Promise<IngestStatus[]>;
  /** Throws `not-found`. */
  abort(namespace: string, ref: string): Promise<void>;
}
