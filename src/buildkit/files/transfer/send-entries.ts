/** The sending half of fsutil's DiffCopy, of a tree that is known already: lists it, then sends the files that are asked for, one after the other. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { HullError } from "../../../platform/errors.ts";
import { type Packet, type PacketSchema, Packet_PacketType as Type } from "../../gen/fsutil/types_pb.ts";
import type { FileEntry } from "../entry.ts";
import { goMode } from "./go-mode.ts";
import { Outgoing } from "./outgoing.ts";

type OurPacket = MessageInitShape<typeof PacketSchema>;

export interface SendRequest {
  /** Packets both ways, begun with ours. */
  readonly open: (ours: AsyncIterable<OurPacket>) => AsyncIterable<Packet>;
  readonly entries: readonly FileEntry[];
  readonly read: (entry: FileEntry) => AsyncIterable<Uint8Array>;
  /** Bytes that have been sent. */
  readonly onBytes: (bytes: number) => void;
}

/** Resolves when the other side has all that it wants. Throws what it says is wrong, and what reading a file fails of. */
export async function sendEntries({ open, entries, read, onBytes }: SendRequest): Promise<void> {
  const asked = new Outgoing<number>();
  let failure: unknown;
  async function* ours(): AsyncGenerator<OurPacket> {
    try {
      for (const entry of entries) yield { type: Type.PACKET_STAT, stat: statOf(entry) };
      yield { type: Type.PACKET_STAT };
      for await (const id of asked) {
        for await (const data of read(entryAt(entries, id))) {
          yield { type: Type.PACKET_DATA, ID: id, data };
          onBytes(data.length);
        }
        yield { type: Type.PACKET_DATA, ID: id };
      }
      yield { type: Type.PACKET_FIN };
    } catch (error) {
      failure = error;
      throw error;
    }
  }
  let isDone = false;
  try {
    for await (const { type, ID, data } of open(ours())) {
      if (type === Type.PACKET_REQ) asked.push(ID);
      else if (type === Type.PACKET_ERR)
        throw new HullError("failed-precondition", `the client cannot take the files: ${Buffer.from(data)}`);
      else if (type === Type.PACKET_FIN) {
        isDone = true;
        asked.end();
      }
    }
  } catch (error) {
    throw failure ?? error;
  } finally {
    asked.end();
  }
  if (!isDone) throw new HullError("unavailable", "the client ended before it had the files");
}

function entryAt(entries: readonly FileEntry[], id: number): FileEntry {
  const entry = entries[id];
  if (entry?.kind !== "file")
    throw new HullError("invalid-argument", `the client asked for number ${id}, which is no file`);
  return entry;
}

const statOf = (entry: FileEntry) => ({
  path: entry.path,
  mode: goMode(entry.kind, entry.mode),
  uid: entry.uid,
  gid: entry.gid,
  size: BigInt(entry.hardLinkTo === "" ? entry.size : 0),
  modTime: entry.mtimeNs,
  linkname: entry.linkTarget || entry.hardLinkTo,
  devmajor: BigInt(entry.deviceMajor),
  devminor: BigInt(entry.deviceMinor),
  xattrs: Object.fromEntries(entry.xattrs.map(([name, value]) => [name, Buffer.from(value, "latin1")])),
});
