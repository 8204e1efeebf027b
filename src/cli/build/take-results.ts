/** The session's FileSend: what the daemon made comes into a directory, a file or standard output. */
import { createWriteStream, rmSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import { type OurPacket, receiveTree } from "../../buildkit/files/transfer/receive-tree.ts";
import type { Packet } from "../../buildkit/gen/fsutil/types_pb.ts";
import { FileSend, FileSync } from "../../buildkit/gen/moby/filesync/v1/filesync_pb.ts";
import type { GrpcRoutes } from "../../platform/grpc/server.ts";
import { write } from "../streams/output.ts";
import type { Destination } from "./outputs.ts";
import { TreeWriter } from "./write-tree.ts";

export function addResultService(routes: GrpcRoutes, destination: Destination): void {
  if (destination.kind === "directory") {
    // A directory is sent as FileSync's packets under FileSend's name.
    const service = { ...FileSend, methods: [FileSync.method.diffCopy] } as unknown as typeof FileSync;
    routes.service(service, { diffCopy: (packets) => takeTree(destination.path, packets) as never });
    return;
  }
  routes.service(FileSend, {
    diffCopy: async function* (messages) {
      await takeBytes(destination, messages);
      yield* [];
    },
  });
}

/** What we ask for. */
async function* takeTree(path: string, theirs: AsyncIterable<Packet>): AsyncGenerator<OurPacket> {
  const writer = new TreeWriter(path);
  let asking: AsyncIterable<OurPacket> | undefined;
  const open = (ours: AsyncIterable<OurPacket>): AsyncIterable<Packet> => {
    asking = ours;
    return theirs;
  };
  const taken = receiveTree({ open, isKnown: () => false, sink: writer, onBytes: () => {} });
  taken.catch(() => undefined); // Told below.
  if (asking) yield* asking;
  writer.finish(await taken);
}

async function takeBytes(
  destination: Exclude<Destination, { readonly kind: "directory" }>,
  messages: AsyncIterable<{ readonly data: Uint8Array }>,
): Promise<void> {
  if (destination.kind === "stdout") {
    for await (const { data } of messages) await write("stdout", data);
    return;
  }
  async function* bytes(): AsyncGenerator<Uint8Array> {
    for await (const { data } of messages) yield data;
  }
  try {
    await pipeline(bytes, createWriteStream(destination.path));
  } catch (error) {
    rmSync(destination.path, { force: true });
    throw error;
  }
}
