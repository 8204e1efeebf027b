/** containerd.services.content.v1.Content, as far as clients read blobs of the history with it, and what its records name: images that were built. */
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { type ContainerdClient, call } from "../../containerd/client.ts";
import type { Content } from "../../containerd/gen/containerd/services/content/v1/content_pb.ts";
import { HullError } from "../../platform/errors.ts";
import type { BuildHistory } from "../history/history.ts";

export function contentService(
  history: BuildHistory,
  stored: Pick<ContainerdClient["content"], "info" | "read">,
): Partial<ServiceImpl<typeof Content>> {
  return {
    info: async (request, { signal }) => {
      const { digest } = request;
      const found = history.blob(digest);
      if (!found) return stored.info({ digest }, call({ signal }));
      const { size, madeMs } = found;
      const time = timestampFromMs(madeMs);
      return { info: { digest, size: BigInt(size), createdAt: time, updatedAt: time, labels: {} } };
    },
    async *read({ digest, offset, size }, { signal }) {
      const found = history.blob(digest);
      if (!found) {
        yield* stored.read({ digest, offset, size }, call({ signal }));
        return;
      }
      const total = found.size;
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
