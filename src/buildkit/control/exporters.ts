/** Where a build's result goes: into the engine's images, or to the client as files. */

import type { Descriptor } from "../../oci/image.ts";
import { formatReference, parseReference, withDefaultTag } from "../../oci/reference.ts";
import { HullError } from "../../platform/errors.ts";
import { encodeStatement, imageSubjects, type Predicate } from "../attestations/statement.ts";
import type { BuiltImage } from "../build.ts";
import type { ImageOrder, Statement, WrittenImage } from "../daemon/image-writer.ts";
import type { FileEntry } from "../files/entry.ts";
import type { Exporter } from "../gen/moby/buildkit/v1/control_pb.ts";
import type { LayerStack } from "../solver/ports.ts";
import { type ResultDocument, resultDocuments } from "./result-documents.ts";
import { type DirectoryPart, type SendCall, sendDirectories, sendTars } from "./send-results.ts";
import type { Session } from "./session.ts";

/** What the client is told about the result: "containerimage.digest", ... */
export type ExporterAnswer = Readonly<Record<string, string>>;

export interface ExportParts {
  /** Stores the images and gives them their names. */
  readonly store: (order: ImageOrder) => Promise<WrittenImage>;
  /** The files of a stack as they are seen, until it is disposed of. */
  readonly view: (stack: LayerStack) => Promise<ResultView>;
}

export interface ResultView extends AsyncDisposable {
  readonly path: string;
  /** Of a file, links meaning the view's own root; undefined: missing, no regular file, or larger. */
  read(path: string, maxBytes: number): Promise<Buffer | undefined>;
  /** Everything in it; files without their hashes, unless they are wanted. */
  list(signal: AbortSignal, hashed?: boolean): Promise<readonly FileEntry[]>;
}

export interface ExportCall {
  readonly exporter: Exporter;
  /** Of the exporter among those that were asked for. */
  readonly index: number;
  readonly images: readonly BuiltImage[];
  /** The result is a map of platforms, of one too: an index, a directory for each. */
  readonly multiPlatform: boolean;
  /** What is said of them, where anything was asked for. */
  readonly predicates: ReadonlyMap<BuiltImage, readonly Predicate[]>;
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
  local: sending(async (call, views) => {
    const parts: DirectoryPart[] = [];
    for (const { name, view, documents } of views)
      parts.push({ name, root: view.path, documents, entries: await view.list(call.signal) });
    await sendDirectories(call, parts);
  }),
  tar: sending((call, views) =>
    sendTars(
      call,
      views.map(({ name, view, documents }) => ({ name, root: view.path, documents })),
    ),
  ),
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

interface NamedView {
  /** The directory that it goes to; "" for the root. */
  readonly name: string;
  readonly view: ResultView;
  readonly documents: readonly ResultDocument[];
}

function sending(send: (call: SendCall, views: readonly NamedView[]) => Promise<void>): Export {
  return async (parts, { exporter, images, multiPlatform, predicates, index, session, onBytes, signal }) => {
    if (images.length === 0) return {};
    const splits = isSplit(exporter, multiPlatform);
    if (!splits && images.length > 1)
      throw new HullError(
        "unimplemented",
        "files of several platforms go into one directory each: build without platform-split=false, or one platform",
      );
    await using open = new AsyncDisposableStack();
    const views: NamedView[] = [];
    for (const image of images) {
      const view = open.use(await parts.view(image.stack));
      const said = { predicates: predicates.get(image) ?? [], prefix: exporter.Attrs["attestation-prefix"] ?? "" };
      const documents = await resultDocuments(image, { ...said, view, signal });
      views.push({ name: splits ? image.platform.replaceAll("/", "_") : "", view, documents });
    }
    await send({ session: await session(), index, onBytes, signal }, views);
    return {};
  };
}

/** BuildKit's platform-split: "linux_amd64/". */
function isSplit({ Attrs: { "platform-split": given = "" } }: Exporter, multiPlatform: boolean): boolean {
  if (given === "") return multiPlatform;
  if (/^(?:1|t|true)$/i.test(given)) return true;
  if (/^(?:0|f|false)$/i.test(given)) return false;
  throw new HullError("invalid-argument", `invalid value ${JSON.stringify(given)} for platform-split: want a boolean`);
}

async function toImage(parts: ExportParts, call: ExportCall): Promise<ExporterAnswer> {
  const { exporter, images, multiPlatform, predicates, signal } = call;
  const { Attrs: attributes } = exporter;
  if (attributes.push === "true")
    throw new HullError("unimplemented", "pushing what was built is not available yet: use docker push");
  if (images.length === 0) return {};
  const names = (attributes.name ?? "").split(",").filter((name) => name !== "");
  const tags = names.map((name) => withDefaultTag(parseReference(name)));
  const attest = async (image: BuiltImage, { digest }: Descriptor): Promise<Statement[]> => {
    const subjects = imageSubjects(tags.map(formatReference), image.platform, digest);
    return (predicates.get(image) ?? []).map((predicate) => ({
      predicateType: predicate.type,
      bytes: encodeStatement(subjects, predicate),
    }));
  };
  const asIndex = multiPlatform || [...predicates.values()].some(({ length }) => length > 0);
  const { id, target } = await parts.store({ images, asIndex, attest, tags, signal });
  return {
    "containerimage.digest": target.digest,
    "containerimage.descriptor": Buffer.from(JSON.stringify(target)).toString("base64"),
    ...(images.length === 1 && { "containerimage.config.digest": id }),
    ...(names.length > 0 && { "image.name": names.join(",") }),
  };
}
