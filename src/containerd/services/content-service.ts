/** containerd.services.content.v1 */
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { type Digest, parseDigest } from "../../oci/digest.ts";
import { HullError } from "../../platform/errors.ts";
import type { BlobInfo, ContentWriter, IngestStatus } from "../content/content-store.ts";
import {
  type Content,
  WriteAction,
  type WriteContentRequest,
} from "../gen/containerd/services/content/v1/content_pb.ts";
import { fieldsOf, parseFilters } from "../store/filter.ts";
import type { Stores } from "../stores.ts";
import { callOf, namespaceOf } from "./call.ts";
import { checkMask, maskedLabels, toTimestamp } from "./convert.ts";

const PER_MESSAGE = 100;
const CHUNK_BYTES = 512 * 1024;

export function contentService(stores: Stores): ServiceImpl<typeof Content> {
  const { content } = stores;
  return {
    info: ({ digest }, context) => ({ info: toWire(content.info(namespaceOf(context), parseDigest(digest))) }),
    update: ({ info, updateMask }, context) => {
      if (info === undefined) throw new HullError("invalid-argument", "info is missing");
      const [namespace, digest] = [namespaceOf(context), parseDigest(info.digest)];
      checkMask(updateMask?.paths, ["labels"], `content "${digest}"`);
      const labels = maskedLabels(content.info(namespace, digest).labels, info.labels, updateMask?.paths);
      return { info: toWire(content.label(namespace, digest, labels)) };
    },
    async *list({ filters }, context) {
      const matches = parseFilters(filters);
      const found = content
        .list(namespaceOf(context))
        .filter(({ digest, labels }) => matches(fieldsOf({ digest, labels })));
      for (let at = 0; at < found.length; at += PER_MESSAGE)
        yield { info: found.slice(at, at + PER_MESSAGE).map(toWire) };
    },
    delete: async ({ digest }, context) => {
      await content.delete(namespaceOf(context), parseDigest(digest));
      return {};
    },
    read: ({ digest, offset, size }, context) =>
      read(stores, namespaceOf(context), { digest: parseDigest(digest), offset: Number(offset), size: Number(size) }),
    status: async ({ ref }, context) => {
      const found = (await content.ingests(namespaceOf(context))).find((ingest) => ingest.ref === ref);
      if (found === undefined) throw new HullError("not-found", `ingest "${ref}": not found`);
      return { status: toWireStatus(found) };
    },
    listStatuses: async ({ filters }, context) => {
      const matches = parseFilters(filters);
      const found = (await content.ingests(namespaceOf(context))).filter(({ ref }) => matches(fieldsOf({ ref })));
      return { statuses: found.map(toWireStatus) };
    },
    write: (requests, context) => write(stores, requests, context),
    abort: async ({ ref }, context) => {
      await content.abort(namespaceOf(context), ref);
      return {};
    },
  };
}

async function* read(stores: Stores, namespace: string, range: { digest: Digest; offset: number; size: number }) {
  const total = stores.content.info(namespace, range.digest).size;
  if (range.offset < 0 || range.offset > total) {
    throw new HullError("invalid-argument", `offset ${range.offset} is outside of ${range.digest} (${total} bytes)`);
  }
  const end = range.size > 0 ? Math.min(total, range.offset + range.size) : total;
  await using file = await stores.content.open(namespace, range.digest);
  for (let at = range.offset; at < end; ) {
    const data = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, end - at));
    const { bytesRead } = await file.read(data, 0, data.length, at);
    if (bytesRead === 0) throw new HullError("internal", `content ${range.digest} ends at byte ${at} of ${total}`);
    yield { offset: BigInt(at), data: data.subarray(0, bytesRead) };
    at += bytesRead;
  }
}

/** One ingest per stream: the first message names it, COMMIT ends it. */
async function* write(stores: Stores, requests: AsyncIterable<WriteContentRequest>, context: HandlerContext) {
  const namespace = namespaceOf(context);
  stores.namespaces.ensure(namespace);
  let writer: ContentWriter | undefined;
  try {
    for await (const request of requests) {
      writer ??= await open(stores, request, context);
      if (request.action === WriteAction.STAT) {
        yield { action: request.action, ...progress(writer.status()) };
        continue;
      }
      await append(writer, request);
      if (request.action === WriteAction.WRITE) {
        yield { action: request.action, ...progress(writer.status()) };
        continue;
      }
      const blob = await commit(stores, writer, request, context);
      yield { action: request.action, ...progress(writer.status()), offset: BigInt(blob.size), digest: blob.digest };
      return;
    }
  } finally {
    await writer?.[Symbol.asyncDispose]();
  }
}

async function open(stores: Stores, request: WriteContentRequest, context: HandlerContext): Promise<ContentWriter> {
  const namespace = namespaceOf(context);
  const { lease } = callOf(context);
  const expected = request.expected === "" ? undefined : parseDigest(request.expected);
  if (lease !== undefined) {
    if (expected !== undefined && stores.content.find(namespace, expected)) {
      stores.leases.add(namespace, lease, { type: "content", id: expected });
    }
    stores.leases.add(namespace, lease, { type: "ingests", id: request.ref });
  }
  return stores.content.openWriter(namespace, { ref: request.ref, total: Number(request.total), expected });
}

async function append(writer: ContentWriter, request: WriteContentRequest): Promise<void> {
  const { offset } = writer.status();
  const at = Number(request.offset);
  if (request.data.length > 0 || (at > 0 && at !== offset)) {
    if (at > offset) throw new HullError("invalid-argument", `write at ${at}, but the ingest has ${offset} bytes`);
    if (at < offset) await writer.truncate(at);
  }
  if (request.data.length > 0) await writer.write(request.data);
}

async function commit(
  stores: Stores,
  writer: ContentWriter,
  request: WriteContentRequest,
  context: HandlerContext,
): Promise<BlobInfo> {
  const namespace = namespaceOf(context);
  const expected = request.expected === "" ? undefined : parseDigest(request.expected);
  const blob = await writer.commit({ size: Number(request.total), expected, labels: request.labels });
  const { lease } = callOf(context);
  if (lease !== undefined) {
    stores.leases.add(namespace, lease, { type: "content", id: blob.digest });
    stores.leases.remove(namespace, lease, { type: "ingests", id: writer.status().ref });
  }
  return blob;
}

const toWire = (blob: BlobInfo) => ({
  digest: blob.digest,
  size: BigInt(blob.size),
  createdAt: toTimestamp(blob.createdAt),
  updatedAt: toTimestamp(blob.updatedAt),
  labels: { ...blob.labels },
});

const progress = (status: IngestStatus) => ({
  startedAt: toTimestamp(status.startedAt),
  updatedAt: toTimestamp(status.updatedAt),
  offset: BigInt(status.offset),
  total: BigInt(status.total),
});

const toWireStatus = (status: IngestStatus) => ({ ref: status.ref, expected: status.expected, ...progress(status) });
