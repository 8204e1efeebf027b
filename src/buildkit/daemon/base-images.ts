/** Images of hull-containerd as FROM and COPY --from name them. */
import { type ContainerdClient, call } from "../../containerd/client.ts";
import { formatPlatform, hostPlatform, parsePlatform, platformFit } from "../../oci/platform.ts";
import { familiarReference, formatReference, parseReference, withDefaultTag } from "../../oci/reference.ts";
import { codeOf, during, HullError } from "../../platform/errors.ts";
import type { BaseImage, BaseImages } from "../build.ts";
import type { Layers } from "../solver/ports.ts";

export interface BaseImageParts {
  readonly containerd: Pick<ContainerdClient, "imageStore">;
  readonly layers: Pick<Layers, "find">;
}

type Details = Awaited<ReturnType<ContainerdClient["imageStore"]["get"]>>;

export function storedImages({ containerd, layers }: BaseImageParts): BaseImages {
  return {
    resolve: async (reference, { platform, pull }) => {
      const details = await find(containerd.imageStore, reference);
      if (details?.manifest === undefined) throw missing(reference);
      // What was asked for is not what is here: to look for another one a registry is needed.
      if (pull) throw new HullError("unimplemented", `pull ${shown(reference)}: pulling images is not available yet`);
      const config = JSON.parse(Buffer.from(details.config).toString()) as Readonly<Record<string, unknown>>;
      checkPlatform(config, reference, platform);
      return {
        digest: details.manifest.digest,
        id: details.configDigest,
        config,
        stack: await stackOf(details, { containerd, layers }),
      };
    },
  };
}

/** By name, else by id or its beginning. */
async function find(store: ContainerdClient["imageStore"], reference: string): Promise<Details | undefined> {
  const hex = reference.replace(/^sha256:/, "");
  const name = /^[0-9a-f]{64}$/.test(hex)
    ? `sha256:${hex}`
    : formatReference(withDefaultTag(parseReference(reference)));
  try {
    return await store.get({ name }, call({}));
  } catch (error) {
    if (codeOf(error) !== "not-found") throw during(`look up ${reference}`, error);
  }
  if (!/^[0-9a-f]{4,63}$/.test(hex)) return undefined;
  const { images } = await store.list({}, call({}));
  const matches = images.filter(({ configDigest }) => configDigest.startsWith(`sha256:${hex}`));
  return new Set(matches.map(({ configDigest }) => configDigest)).size === 1 ? matches[0] : undefined;
}

const shown = (reference: string): string => familiarReference(withDefaultTag(parseReference(reference)));

const missing = (reference: string): HullError =>
  new HullError("not-found", `No such image: ${shown(reference)} (pulling images is not available yet: load it first)`);

function checkPlatform(config: Readonly<Record<string, unknown>>, reference: string, platform: string): void {
  const wanted = platform === "" ? hostPlatform() : parsePlatform(platform);
  const text = (name: string) => (typeof config[name] === "string" ? config[name] : "");
  const [os, architecture] = [text("os"), text("architecture")];
  // An image that says nothing of it is taken as it is, as dockerd does.
  if (os === "" || architecture === "") return;
  const own = parsePlatform([os, architecture, text("variant")].filter((part) => part !== "").join("/"));
  if (platformFit(wanted, own) > 0) return;
  throw new HullError(
    "not-found",
    `image with reference ${reference} was found but its platform (${formatPlatform(own)}) does not match the specified platform (${formatPlatform(wanted)})`,
  );
}

/** The image's snapshots, made where it was not unpacked yet. */
async function stackOf(details: Details, { containerd, layers }: BaseImageParts): Promise<BaseImage["stack"]> {
  if (details.layers.length === 0) return { chainId: "", layers: [] };
  const found = await layers.find(details.chainId);
  if (found) return found;
  for await (const _progress of containerd.imageStore.unpack(
    { name: details.configDigest, snapshotter: "" },
    call({}),
  ));
  const unpacked = await layers.find(details.chainId);
  if (!unpacked)
    throw new HullError("internal", `the layers of ${details.name} are not there after they were unpacked`);
  return unpacked;
}
