/** The rows of `GET /system/df` about the build cache. */
import type { CacheRecord } from "../../buildkit/api.ts";
import { ask, jsonOf } from "../../buildkit/client.ts";
import type { BuilderPort } from "./pass-through.ts";

/** hull-buildkitd is started for it, where one ever ran: what is on the disk is not less while it does not. */
export async function buildCache(port: BuilderPort): Promise<readonly CacheRecord[]> {
  if (!port.hasCache()) return [];
  using connection = await ask(await port.connect(), { kind: "usage" });
  return await jsonOf<readonly CacheRecord[]>(connection);
}
