/** Where a build's result goes: into the engine's images, or to the client as files. */

import { parseReference, type Reference, withDefaultTag } from "../../oci/reference.ts";
import { HullError } from "../../platform/errors.ts";
import type { BuiltImage } from "../build.ts";
import type { Exporter } from "../gen/moby/buildkit/v1/control_pb.ts";

/** What the client is told about the result: "containerimage.digest", ... */
export type ExporterAnswer = Readonly<Record<string, string>>;

export interface ExportParts {
  /** Stores the image and gives it its names; its id and its manifest's digest. */
  readonly store: (
    image: BuiltImage,
    names: readonly Reference[],
    signal: AbortSignal,
  ) => Promise<{ readonly id: string; readonly digest: string }>;
}

export interface ExportCall {
  readonly exporter: Exporter;
  readonly images: readonly BuiltImage[];
  readonly signal: AbortSignal;
}

type Export = (parts: ExportParts, call: ExportCall) => Promise<ExporterAnswer>;

/** By BuildKit's names; "moby" is what the docker driver calls the engine's own images. */
const exporters: Readonly<Record<string, Export>> = { moby: toImage, image: toImage };

/** Throws unimplemented for an exporter that is not there, before anything is built. */
export function exporterNamed(type: string): Export {
  const found = exporters[type];
  if (!found)
    throw new HullError("unimplemented", `output type ${JSON.stringify(type)} is not available yet: use type=image`);
  return found;
}

async function toImage(parts: ExportParts, { exporter, images, signal }: ExportCall): Promise<ExporterAnswer> {
  const { Attrs: attributes } = exporter;
  if (attributes.push === "true")
    throw new HullError("unimplemented", "pushing what was built is not available yet: use docker push");
  const [image, ...others] = images;
  if (!image) return {};
  if (others.length > 0)
    throw new HullError("unimplemented", "an image for several platforms is not available yet: build one at a time");
  const names = (attributes.name ?? "").split(",").filter((name) => name !== "");
  const references = names.map((name) => withDefaultTag(parseReference(name)));
  const { id, digest } = await parts.store(image, references, signal);
  return {
    "containerimage.digest": digest,
    "containerimage.config.digest": id,
    ...(names.length > 0 && { "image.name": names.join(",") }),
  };
}
