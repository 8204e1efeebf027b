/** Images of hull-containerd as FROM and COPY --from name them; those that are not here are pulled. */
import { type ContainerdClient, call } from "../../containerd/client.ts";
import { formatPlatform, hostPlatform, parsePlatform, platformFit } from "../../oci/platform.ts";
import { familiarReference, formatReference, parseReference, withDefaultTag } from "../../oci/reference.ts";
import { codeOf, during, HullError } from "../../platform/errors.ts";
import type { Credentials } from "../../registry/client/credentials.ts";
import type { BaseImage, BaseImages } from "../build.ts";
import type { Layers } from "../solver/ports.ts";

export interface BaseImageParts {
  readonly containerd: Pick<ContainerdClient, "imageStore" | "registries">;
  readonly layers: Pick<Layers, "find">;
}

/** Whose build it is. */
export interface ImageClient {
  /** By a reference's domain; undefined: nobody in particular. Asked only for what is pulled. */
  readonly credentials: (registry: string) => Promise<Credentials | undefined>;
  readonly signal: AbortSignal;
}

export type ImagesFor = (client: ImageClient) => BaseImages;

type Details = Awaited<ReturnType<ContainerdClient["imageStore"]["get"]>>;

export const storedImages =
  (parts: BaseImageParts): ImagesFor =>
  (client) => ({
    resolve: async (reference, { platform, pull }) => {
      const { imageStore } = parts.containerd;
      const here = pull && !isId(reference) ? undefined : await find(imageStore, reference, platform);
      const found = here && fits(here, platform) ? here : await fetched(parts, client, { reference, platform, here });
      if (found.manifest === undefined) throw new HullError("internal", `${found.name} has no manifest`);
      const config = configOf(found);
      checkPlatform(config, reference, platform);
      const stack = await stackOf(found, parts, platform);
      return { digest: found.manifest.digest, id: found.configDigest, config, stack, blobs: blobsOf(found) };
    },
  });

const blobsOf = ({ layers }: Details) =>
  layers.map(({ diffId, mediaType, digest, size }) => ({ diffId, mediaType, digest, size: Number(size) }));

const configOf = ({ config }: Details) =>
  JSON.parse(Buffer.from(config).toString()) as Readonly<Record<string, unknown>>;

interface Missing {
  readonly reference: string;
  readonly platform: string;
  /** One of another platform. */
  readonly here: Details | undefined;
}

/** Pulled. For another platform than this machine's the name keeps what it stands for. */
async function fetched(
  { containerd }: BaseImageParts,
  { credentials, signal }: ImageClient,
  { reference, platform, here }: Missing,
): Promise<Details> {
  if (isId(reference)) {
    if (here) return here;
    throw new HullError("not-found", `No such image: ${reference}`);
  }
  const named = withDefaultTag(parseReference(reference));
  const auth = await credentials(named.domain);
  const onlyDigest = platform !== "" && platformFit(hostPlatform(), parsePlatform(platform)) === 0;
  const wanted = { reference: formatReference(named), platform: onlyDigest ? platform : "", onlyDigest };
  try {
    for await (const { step } of containerd.registries.pull({ ...wanted, ...(auth && { auth }) }, call({ signal }))) {
      if (step.case === "pulled") return await containerd.imageStore.get({ name: step.value.name }, call({ signal }));
    }
  } catch (error) {
    // What is not there is said with its name already.
    throw codeOf(error) === "not-found" ? error : during(`pull ${familiarReference(named)}`, error);
  }
  throw new HullError("internal", `the pull of ${reference} ended without an image`);
}

const isId = (reference: string): boolean => /^(sha256:)?[0-9a-f]{64}$/.test(reference);

/** By name, else by id or its beginning. */
async function find(
  store: ContainerdClient["imageStore"],
  reference: string,
  platform: string,
): Promise<Details | undefined> {
  const hex = reference.replace(/^sha256:/, "");
  const name = /^[0-9a-f]{64}$/.test(hex)
    ? `sha256:${hex}`
    : formatReference(withDefaultTag(parseReference(reference)));
  try {
    return (await getFor(store, name, platform)) ?? (await store.get({ name }, call({})));
  } catch (error) {
    if (codeOf(error) !== "not-found") throw during(`look up ${reference}`, error);
  }
  if (!/^[0-9a-f]{4,63}$/.test(hex)) return undefined;
  const { images } = await store.list({}, call({}));
  const matches = images.filter(({ configDigest }) => configDigest.startsWith(`sha256:${hex}`));
  return new Set(matches.map(({ configDigest }) => configDigest)).size === 1 ? matches[0] : undefined;
}

/** Of an image of several platforms the one that is asked for, where it is here. */
async function getFor(
  store: ContainerdClient["imageStore"],
  name: string,
  platform: string,
): Promise<Details | undefined> {
  if (platform === "") return undefined;
  try {
    return await store.get({ name, platform }, call({}));
  } catch (error) {
    if (codeOf(error) === "not-found") return undefined;
    throw error;
  }
}

/** Undefined: the image does not say, and is taken as it is, as dockerd does. */
function platformOf(config: Readonly<Record<string, unknown>>) {
  const text = (name: string) => (typeof config[name] === "string" ? config[name] : "");
  const [os, architecture] = [text("os"), text("architecture")];
  if (os === "" || architecture === "") return undefined;
  return parsePlatform([os, architecture, text("variant")].filter((part) => part !== "").join("/"));
}

const wantedPlatform = (platform: string) => (platform === "" ? hostPlatform() : parsePlatform(platform));

function fits(details: Details, platform: string): boolean {
  const own = platformOf(configOf(details));
  return own === undefined || platformFit(wantedPlatform(platform), own) > 0;
}

function checkPlatform(config: Readonly<Record<string, unknown>>, reference: string, platform: string): void {
  const wanted = wantedPlatform(platform);
  const own = platformOf(config);
  if (own === undefined || platformFit(wanted, own) > 0) return;
  throw new HullError(
    "not-found",
    `image with reference ${reference} was found but its platform (${formatPlatform(own)}) does not match the specified platform (${formatPlatform(wanted)})`,
  );
}

/** The image's snapshots, made where it was not unpacked yet. */
async function stackOf(
  details: Details,
  { containerd, layers }: BaseImageParts,
  platform: string,
): Promise<BaseImage["stack"]> {
  if (details.layers.length === 0) return { chainId: "", layers: [] };
  const found = await layers.find(details.chainId);
  if (found) return found;
  for await (const _progress of containerd.imageStore.unpack(
    { name: details.target?.digest ?? details.configDigest, snapshotter: "", platform },
    call({}),
  ));
  const unpacked = await layers.find(details.chainId);
  if (!unpacked)
    throw new HullError("internal", `the layers of ${details.name} are not there after they were unpacked`);
  return unpacked;
}
