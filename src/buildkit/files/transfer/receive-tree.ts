/**
 * The receiving half of fsutil's DiffCopy: the client lists a directory, we ask for the bytes that we lack, it sends them in pieces of several files
 * at once. A file is handed on when it is whole, a large one while it arrives and then alone, so that little is held in memory.
 */

import type { MessageInitShape } from "@bufbuild/protobuf";
import { HullError } from "../../../platform/errors.ts";
import { type Packet, type PacketSchema, Packet_PacketType as Type } from "../../gen/fsutil/types_pb.ts";
import type { FileEntry } from "../entry.ts";
import { comparePaths } from "../path-text.ts";
import { entryOfStat } from "./go-mode.ts";
import { Outgoing } from "./outgoing.ts";

/** Its bytes are to be had under its own name. */
export const hasBytes = ({ kind, hardLinkTo, size }: FileEntry): boolean =>
  kind === "file" && hardLinkTo === "" && size > 0;

export type OurPacket = MessageInitShape<typeof PacketSchema>;

/** Takes files one after the other. */
export interface FileSink {
  begin(entry: FileEntry): Promise<void> | void;
  write(data: Uint8Array): Promise<void> | void;
  end(): Promise<void> | void;
}

export interface SyncRequest {
  /** Packets both ways, begun with ours. */
  readonly open: (ours: AsyncIterable<OurPacket>) => AsyncIterable<Packet>;
  /** True: its bytes are here already. */
  readonly isKnown: (entry: FileEntry) => boolean;
  readonly sink: FileSink;
  /** Bytes that have arrived. */
  readonly onBytes: (bytes: number) => void;
}

/** Larger files arrive alone and are passed on while they do. */
const WHOLE_BYTES = 1024 * 1024;
/** Asked for and not here yet. */
const WINDOW_BYTES = 4 * WHOLE_BYTES;
const WINDOW_FILES = 120;

interface Wanted {
  readonly id: number;
  readonly entry: FileEntry;
  readonly parts: Uint8Array[];
}

/** The directory's entries in their order, without hashes. Throws what the client says is wrong, invalid-argument for a listing that cannot be. */
export async function receiveTree(request: SyncRequest): Promise<FileEntry[]> {
  const ours = new Outgoing<OurPacket>();
  const receiver = new Receiver(request, ours);
  try {
    for await (const packet of request.open(ours)) {
      await receiver.take(packet);
      if (receiver.isDone) break;
    }
  } finally {
    ours.end();
  }
  if (!receiver.isDone) throw new HullError("unavailable", "the client ended before its files were sent");
  return receiver.entries;
}

class Receiver {
  readonly entries: FileEntry[] = [];
  isDone = false;
  #listed = false;
  /** In the order of asking. */
  readonly #waiting: Wanted[] = [];
  readonly #asked = new Map<number, Wanted>();
  #askedBytes = 0;
  #streaming: Wanted | undefined;
  #next = 0;
  #finished = false;

  constructor(
    private readonly request: SyncRequest,
    private readonly ours: Outgoing<OurPacket>,
  ) {}

  async take(packet: Packet): Promise<void> {
    switch (packet.type) {
      case Type.PACKET_STAT:
        if (packet.stat) this.#list(entryOfStat(packet.stat));
        else this.#listed = true;
        break;
      case Type.PACKET_DATA:
        await this.#data(packet.ID, packet.data);
        break;
      case Type.PACKET_FIN:
        this.isDone = true;
        return;
      case Type.PACKET_ERR:
        throw new HullError("failed-precondition", `the client cannot send its files: ${Buffer.from(packet.data)}`);
      case Type.PACKET_REQ:
        throw new HullError("invalid-argument", "the client asked for a file in the place of sending its own");
    }
    this.#ask();
  }

  #list(entry: FileEntry): void {
    const before = this.entries.at(-1);
    if (before && comparePaths(before.path, entry.path) >= 0)
      throw new HullError("invalid-argument", `the client listed ${entry.path} after ${before.path}`);
    this.entries.push(entry);
    const id = this.#next++;
    if (hasBytes(entry) && !this.request.isKnown(entry)) this.#waiting.push({ id, entry, parts: [] });
  }

  #ask(): void {
    for (let first = this.#waiting[0]; first; first = this.#waiting[0]) {
      const isLarge = first.entry.size > WHOLE_BYTES;
      const isFull = this.#askedBytes + first.entry.size > WINDOW_BYTES || this.#asked.size >= WINDOW_FILES;
      if (this.#streaming || (this.#asked.size > 0 && (isLarge || isFull))) return;
      this.#waiting.shift();
      this.#asked.set(first.id, first);
      this.#askedBytes += first.entry.size;
      if (isLarge) this.#streaming = first;
      this.ours.push({ type: Type.PACKET_REQ, ID: first.id });
    }
    if (!this.#listed || this.#asked.size > 0 || this.#finished) return;
    this.#finished = true;
    this.ours.push({ type: Type.PACKET_FIN });
  }

  async #data(id: number, data: Uint8Array): Promise<void> {
    const wanted = this.#asked.get(id);
    if (!wanted) throw new HullError("invalid-argument", "the client sent a file that was not asked for");
    this.request.onBytes(data.length);
    if (data.length === 0) return this.#complete(wanted);
    if (wanted !== this.#streaming) {
      wanted.parts.push(data);
      return;
    }
    const { sink } = this.request;
    if (wanted.parts.length === 0) await sink.begin(wanted.entry);
    wanted.parts.length = 0;
    wanted.parts.push(data.subarray(0, 0)); // It has begun.
    await sink.write(data);
  }

  async #complete(wanted: Wanted): Promise<void> {
    this.#asked.delete(wanted.id);
    this.#askedBytes -= wanted.entry.size;
    const { sink } = this.request;
    if (wanted === this.#streaming) {
      this.#streaming = undefined;
      if (wanted.parts.length === 0) await sink.begin(wanted.entry);
    } else {
      // It may have grown or shrunk since it was listed: what was read counts.
      const size = wanted.parts.reduce((sum, part) => sum + part.length, 0);
      await sink.begin({ ...wanted.entry, size });
      for (const part of wanted.parts) await sink.write(part);
    }
    await sink.end();
  }
}
