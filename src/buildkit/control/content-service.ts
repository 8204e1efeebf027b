/** containerd.services.content.v1.Content, as far as clients read blobs of the history with it. */
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { Content } from "../../containerd/gen/containerd/services/content/v1/content_pb.ts";
import { HullError } from "../../platform/errors.ts";
import type { BuildHistory } from "../history/history.ts";
import type { BlobRow } from "../history/history-table.ts";

export function contentService(history: BuildHistory): Partial<ServiceImpl<typeof Content>> {
  const blob = (digest: string): BlobRow => {
    const found = history.blob(digest);
    if (!found) throw new HullError("not-found", `content ${digest}: not found`);
    return found;
  };
  return {
    info: ({ digest }) => {
      const { size, madeMs } = blob(digest);
      const time = timestampFromMs(madeMs);
      return { info: { digest, size: BigInt(size), createdAt: time, updatedAt: time, labels: {} } };
    },
    async *read({ digest, offset, size }) {
      const total = blob(digest).size;
      const from = Number(offset);
      if (from < 0 || from > total)
        throw new HullError("invalid-argument", `content ${digest} has ${total} bytes, none at ${from}`);
      let at = from;
      for await (const data of history.read(digest, from, size > 0n ? Number(size) : undefined)) {
        yield { offset: BigInt(at), data };
        at += data.length;
      }
    },
  };
}
