/** One write in progress: a directory with the bytes so far and what they are to become. */
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, mkdir, open, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { IngestStatus } from "./content-store.ts";

interface IngestHead {
  readonly namespace: string;
  readonly ref: string;
  readonly total: number;
  readonly expected: string;
  readonly startedAt: number;
}

export interface Ingest {
  readonly directory: string;
  /** File with the bytes so far. */
  readonly data: string;
  readonly head: IngestHead;
  readonly file: FileHandle;
  offset: number;
  updatedAt: number;
}

/** Refs of writes that nobody resumes: they do not outlive the process that began them. */
export const TRANSIENT_REF = "document-";

/** Refs of layers that are being pulled: the next pull goes on with them, for some time. */
export const PULL_REF = "layer-";
const RESUMABLE_MS = 48 * 3600 * 1000;

/** The name of an ingest's directory: refs are any text. */
export const ingestName = (namespace: string, ref: string): string =>
  createHash("sha256").update(`${namespace}\0${ref}`).digest("hex");

/** Starts it, or resumes at the bytes that are there. */
export async function openIngest(directory: string, wanted: Omit<IngestHead, "startedAt">): Promise<Ingest> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const before = await readHead(directory);
  const total = wanted.total || (before?.total ?? 0);
  const expected = wanted.expected || (before?.expected ?? "");
  const head = { ...wanted, total, expected, startedAt: before?.startedAt ?? Date.now() };
  await writeFile(join(directory, "head.json"), JSON.stringify(head), { mode: 0o600 });
  const data = join(directory, "data");
  const file = await open(data, constants.O_RDWR | constants.O_CREAT, 0o444);
  const { size, mtimeMs } = await file.stat();
  return { directory, data, head, file, offset: size, updatedAt: mtimeMs };
}

export const statusOf = (ingest: Ingest): IngestStatus => ({
  ref: ingest.head.ref,
  offset: ingest.offset,
  total: ingest.head.total,
  expected: ingest.head.expected,
  startedAt: ingest.head.startedAt,
  updatedAt: ingest.updatedAt,
});

/** Every ingest of a namespace below `root`, also those without a writer. */
export async function listIngests(root: string, namespace: string): Promise<IngestStatus[]> {
  const found: IngestStatus[] = [];
  for (const name of await readdir(root)) {
    const head = await readHead(join(root, name));
    if (head?.namespace !== namespace) continue;
    const file = await stat(join(root, name, "data")).catch(() => undefined);
    const { ref, total, expected, startedAt } = head;
    found.push({ ref, total, expected, startedAt, offset: file?.size ?? 0, updatedAt: file?.mtimeMs ?? startedAt });
  }
  return found;
}

/** At start: deletes those that nobody can resume. */
export async function sweepIngests(root: string): Promise<void> {
  for (const name of await readdir(root)) {
    const head = await readHead(join(root, name));
    const isOld = head?.ref.startsWith(PULL_REF) && Date.now() - (await lastWrite(join(root, name))) > RESUMABLE_MS;
    if (head === undefined || head.ref.startsWith(TRANSIENT_REF) || isOld) await removeIngest(join(root, name));
  }
}

const lastWrite = (directory: string): Promise<number> =>
  stat(join(directory, "data")).then(
    ({ mtimeMs }) => mtimeMs,
    () => 0,
  );

/** Deletes an ingest; false when there is none. */
export async function removeIngest(directory: string): Promise<boolean> {
  const there = await stat(directory).catch(() => undefined);
  await rm(directory, { recursive: true, force: true });
  return there !== undefined;
}

/** Undefined when absent or cut short by a crash while it was written: the ingest starts anew then. */
async function readHead(directory: string): Promise<IngestHead | undefined> {
  const text = await readFile(join(directory, "head.json"), "utf8").catch(() => "");
  try {
    return JSON.parse(text) as IngestHead;
  } catch {
    return undefined;
  }
}
