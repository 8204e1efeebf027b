/** Puts hull-buildkitd together: the one place that knows all of its parts. */
import type { KeelServe } from "../../keel/serve.ts";
import { HullError } from "../../platform/errors.ts";
import type { Log } from "../../platform/log.ts";
import type { Tracer } from "../../trace/tracer.ts";
import type { BuilderSettings } from "../settings.ts";
import type { Builder } from "./server.ts";

export interface BuilderParts {
  readonly settings: BuilderSettings;
  readonly keel: KeelServe;
  readonly tracer: Tracer;
  readonly log: Log;
}

export async function composeBuilder(_parts: BuilderParts): Promise<Builder> {
  return {
    build: () => Promise.reject(new HullError("unimplemented", "building images is not available yet")),
    cancel: () => false,
    usage: async () => [],
    prune: async () => ({ CachesDeleted: null, SpaceReclaimed: 0 }),
    [Symbol.asyncDispose]: async () => {},
  };
}
