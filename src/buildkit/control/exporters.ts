/** Where a build's result goes: into the engine's images, or to the client as files. */

import { parseReference, type Reference, withDefaultTag } from "../../oci/reference.ts";
import { HullError } from "../../platform/errors.ts";
import type { BuiltImage } from "../build.ts";
import type { FileEntry } from "../files/entry.ts";
import type { Exporter } from "../gen/moby/buildkit/v1/control_pb.ts";
import type { LayerStack } from "../solver/ports.ts";
import { type SendCall, sendDirectory, sendTar } from "./send-results.ts";
import type { Session } from "./session.ts";

/** What the client is told about the result: "containerimage.digest", ... */
export type ExporterAnswer = Readonly<Record<string, string>>;

export interface ExportParts {
  /** Stores the image and gives it its names; its id and its manifest's digest. */
  readonly store: (
    image: BuiltImage,
    names: readonly Reference[],
    signal: AbortSignal,
  ) => Promise<{ readonly id: string; readonly digest: string }>;
  /** The files of a stack as they are seen, until it is disposed of. */
  readonly view: (stack: LayerStack) => Promise<ResultView>;
}

export interface ResultView extends AsyncDisposable {
  readonly path: string;
  /** Everything in it; files without their hashes. */
  list(signal: AbortSignal): Promise<readonly FileEntry[]>;
}

export interface ExportCall {
  readonly exporter: Exporter;
  /** Of the exporter among those that were asked for. */
  readonly index: number;
  readonly images: readonly BuiltImage[];
  readonly session: () => Promise<Session>;
  /** Bytes that have gone to the client. */
  readonly onBytes: (bytes: number) => void;
  readonly signal: AbortSignal;
}

type Export = (parts: ExportParts, call: ExportCall) => Promise<ExporterAnswer>;

/** By BuildKit's names; "moby" is what the docker driver calls the engine's own images. */
const exporters: Readonly<Record<string, Export>> = {
  moby: toImage,
  image: toImage,
  local: sending(async (call, view) => sendDirectory(call, await view.list(call.signal))),
  tar: sending(sendTar),
};

/** Throws unimplemented for an exporter that is not there, before anything is built. */
export function exporterNamed(type: string): Export {
  const found = exporters[type];
  if (!found)
    throw new HullError(
      "unimplemented",
      `output type ${JSON.stringify(type)} is not available yet: use type=image, local or tar`,
    );
  return found;
}

function sending(send: (call: SendCall, view: ResultView) => Promise<void>): Export {
  return async (parts, { images, index, session, onBytes, signal }) => {
    const image = onlyImage(images);
    if (!image) return {};
    await using view = await parts.view(image.stack);
    await send({ session: await session(), root: view.path, index, onBytes, signal }, view);
    return {};
  };
}

function onlyImage([image, ...others]: readonly BuiltImage[]): BuiltImage | undefined {
  if (others.length > 0)
    throw new HullError("unimplemented", "an image for several platforms is not available yet: build one at a time");
  return image;
}

async function toImage(parts: ExportParts, { exporter, images, signal }: ExportCall): Promise<ExporterAnswer> {
  const { Attrs: attributes } = exporter;
  if (attributes.push === "true")
    throw new HullError("unimplemented", "pushing what was built is not available yet: use docker push");
  const image = onlyImage(images);
  if (!image) return {};
  const names = (attributes.name ?? "").split(",").filter((name) => name !== "");
  const references = names.map((name) => withDefaultTag(parseReference(name)));
  const { id, digest } = await parts.store(image, references, signal);
  return {
    "containerimage.digest": digest,
    "containerimage.config.digest": id,
    ...(names.length > 0 && { "image.name": names.join(",") }),
  };
}
