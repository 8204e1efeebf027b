/** How the images of a client's build came to be: for what is attested of them. */
import { formatPlatform, hostPlatform } from "../../oci/platform.ts";
import type { Material } from "../attestations/build-origin.ts";
import { withoutCredentials } from "../attestations/credentials.ts";
import type { BuildRequest, BuiltImage } from "../build.ts";
import type { RemoteContext } from "../downloads/remote-context.ts";
import type { ContextVertex } from "../graph/vertex.ts";

export interface AccountParts {
  readonly request: BuildRequest;
  readonly attributes: Readonly<Record<string, string>>;
  readonly contextUrl: string;
  readonly remote: RemoteContext | undefined;
  readonly downloads: () => readonly Material[];
  readonly startedMs: number;
}

export function withAccounts(images: readonly BuiltImage[], parts: AccountParts): readonly BuiltImage[] {
  const { request, attributes, remote, contextUrl, downloads, startedMs } = parts;
  const digest = remote?.digest;
  const origin = {
    ...{ ref: request.id, attributes, dockerfile: request.dockerfile, startedMs, finishedMs: Date.now() },
    remote: digest && { uri: withoutCredentials(contextUrl), digest },
    downloads: downloads(),
    builderPlatform: formatPlatform(hostPlatform()),
  };
  return images.map((image) => ({
    ...image,
    origin: { ...origin, target: image.target },
    contextTree: (signal: AbortSignal) => request.contexts.tree(wholeContext, signal),
  }));
}

const wholeContext: ContextVertex = {
  ...{ kind: "context", context: "context", used: [], name: "[internal] load build context" },
  ...{ location: undefined, ignoreCache: false, platform: "" },
};
