/** Records of hull-containerd that give built images their names. */
import { type ContainerdClient, call } from "../../containerd/client.ts";
import type { Descriptor } from "../../oci/image.ts";
import { formatReference, type Reference } from "../../oci/reference.ts";
import { codeOf, during } from "../../platform/errors.ts";

export interface Named {
  readonly target: Descriptor;
  readonly tags: readonly Reference[];
}

type WireTarget = { readonly mediaType: string; readonly digest: string; readonly size: bigint };

const wire = ({ mediaType, digest, size }: Descriptor): WireTarget => ({ mediaType, digest, size: BigInt(size) });
const danglingName = (digest: string): string => `moby-dangling@${digest}`;

/** An image whose last name is taken over stays without one, as with docker. */
export async function nameImage(containerd: ContainerdClient, { target, tags }: Named): Promise<void> {
  const { images } = await containerd.imageStore.list({}, call({}));
  const names = tags.map(formatReference);
  for (const name of names) {
    const holder = images.find((image) => image.name === name);
    if (holder?.target && holder.target.digest !== target.digest) {
      const others = images.filter(
        (image) => image.target?.digest === holder.target?.digest && !names.includes(image.name),
      );
      if (others.length === 0) await put(containerd, danglingName(holder.target.digest), holder.target);
    }
    await put(containerd, name, wire(target));
  }
  const dangling = danglingName(target.digest);
  const named =
    names.length > 0 || images.some((image) => image.target?.digest === target.digest && image.name !== dangling);
  if (!named) await put(containerd, dangling, wire(target));
  else if (images.some(({ name }) => name === dangling)) await containerd.images.delete({ name: dangling }, call({}));
}

async function put(containerd: ContainerdClient, name: string, { mediaType, digest, size }: WireTarget): Promise<void> {
  const image = { name, target: { mediaType, digest, size } };
  try {
    await containerd.images.create({ image }, call({}));
  } catch (error) {
    if (codeOf(error) !== "already-exists") throw during(`name the image ${name}`, error);
    await containerd.images.update({ image }, call({}));
  }
}
