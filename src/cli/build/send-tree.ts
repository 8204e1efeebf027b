/**
 * The sending half of fsutil's DiffCopy: lists a directory, then sends the files that are asked for, which may be while it is still
 * listing. Few files are open and little is read ahead at a time.
 */
import { open } from "node:fs/promises";
import { IgnorePatterns } from "../../buildkit/files/ignore.ts";
import { TreeFilter } from "../../buildkit/files/tree-filter.ts";
import { type Packet, Packet_PacketType as Type } from "../../buildkit/gen/fsutil/types_pb.ts";
import type { EncodedMessages } from "../../platform/grpc/frames.ts";
import { followedPatterns } from "./follow-paths.ts";
import { PacketWriter } from "./packets.ts";
import { type ListedFile, type Listings, walk } from "./tree-walk.ts";

export interface TreeRequest {
  readonly listings: Listings;
  readonly follow: readonly string[];
  readonly include: readonly string[];
  readonly exclude: readonly string[];
}

const BATCH_BYTES = 32 * 1024;
const PIECE_BYTES = 64 * 1024;
/** Files that are read at the same time. */
const IN_FLIGHT = 4;

export function filterOf({ listings, follow, include, exclude }: TreeRequest): TreeFilter | undefined {
  const followed = followedPatterns(listings, follow);
  const all = followed === undefined ? [...include] : [...followed, ...include];
  const includes = all.length === 0 ? undefined : new IgnorePatterns(all);
  const excludes = exclude.length === 0 ? undefined : new IgnorePatterns(exclude);
  return includes || excludes ? new TreeFilter(includes, excludes) : undefined;
}

export interface TreeWatcher {
  /** Each file, as it is listed. */
  readonly onListed: (file: ListedFile) => void;
  /** Before the first byte of a file is sent, when all are listed. */
  readonly onAsked: () => Promise<void>;
}

const nobody: TreeWatcher = { onListed: () => {}, onAsked: async () => {} };

/** Packets for the daemon. */
export async function* sendTree(
  request: TreeRequest,
  theirs: AsyncIterable<Packet>,
  { onListed, onAsked }: TreeWatcher = nobody,
): AsyncGenerator<EncodedMessages> {
  const writer = new PacketWriter();
  const paths: string[] = [];
  const requests = new Requests(theirs);
  for (const file of walk(request.listings, filterOf(request))) {
    paths.push(file.isFile ? file.path : "");
    onListed(file);
    writer.stat(file);
    if (writer.bytes > BATCH_BYTES) yield writer.take();
  }
  writer.end();
  yield writer.take();
  if (requests.has || (await requests.more())) await onAsked();
  yield* answer(request.listings.root, { paths, requests, writer });
  writer.fin();
  yield writer.take();
}

interface Answering {
  readonly paths: readonly string[];
  readonly requests: Requests;
  readonly writer: PacketWriter;
}

async function* answer(root: string, { paths, requests, writer }: Answering): AsyncGenerator<EncodedMessages> {
  const reading: Promise<Reading>[] = [];
  try {
    for (;;) {
      while (reading.length < IN_FLIGHT && requests.has) {
        const id = requests.shift();
        const begun = Reading.start(root, { id, path: paths[id] ?? "" });
        begun.catch(() => undefined); // Told when its turn comes.
        reading.push(begun);
      }
      if (reading.length === 0) {
        if (writer.bytes > 0) yield writer.take();
        if (!(await requests.more())) return;
        continue;
      }
      await using file = await reading.shift()!;
      for (let piece = file.first; piece.length > 0; piece = await file.next()) {
        writer.data(file.id, piece);
        if (writer.bytes >= PIECE_BYTES) yield writer.take();
      }
      writer.data(file.id, new Uint8Array());
    }
  } finally {
    for (const left of reading) await left.then((file) => file[Symbol.asyncDispose]()).catch(() => undefined);
  }
}

/** A file of which the first piece has been read. */
class Reading implements AsyncDisposable {
  private constructor(
    readonly id: number,
    readonly first: Uint8Array,
    private readonly handle: Awaited<ReturnType<typeof open>>,
  ) {}

  static async start(root: string, { id, path }: { readonly id: number; readonly path: string }): Promise<Reading> {
    const handle = await open(`${root}/${path}`, "r");
    try {
      return new Reading(id, await piece(handle), handle);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  next(): Promise<Uint8Array> {
    return this.first.length < PIECE_BYTES ? Promise.resolve(new Uint8Array()) : piece(this.handle);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.handle.close();
  }
}

async function piece(handle: Awaited<ReturnType<typeof open>>): Promise<Uint8Array> {
  const buffer = Buffer.allocUnsafe(PIECE_BYTES);
  const { bytesRead } = await handle.read(buffer, 0, PIECE_BYTES, null);
  return buffer.subarray(0, bytesRead);
}

/** Numbers of files that the daemon asks for, as they come. */
class Requests {
  readonly #ids: number[] = [];
  #ended = false;
  #failure: unknown;
  #wake: () => void = () => {};

  constructor(theirs: AsyncIterable<Packet>) {
    void this.#listen(theirs);
  }

  get has(): boolean {
    return this.#ids.length > 0;
  }

  shift(): number {
    return this.#ids.shift()!;
  }

  /** False: nothing more is asked for. */
  async more(): Promise<boolean> {
    while (this.#ids.length === 0 && !this.#ended)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    if (this.#failure) throw this.#failure;
    return this.#ids.length > 0;
  }

  async #listen(theirs: AsyncIterable<Packet>): Promise<void> {
    try {
      for await (const { type, ID } of theirs) {
        if (type === Type.PACKET_FIN) break;
        if (type === Type.PACKET_REQ) this.#ids.push(ID);
        this.#wake();
      }
    } catch (error) {
      this.#failure = error;
    }
    this.#ended = true;
    this.#wake();
  }
}
