/** What is attested of a build's images: made of what is known of the build, and of looking through their files. */
import { HullError } from "../../platform/errors.ts";
import type { AttestOptions } from "../attestations/attest-options.ts";
import { provenanceOf } from "../attestations/provenance.ts";
import { scanTree } from "../attestations/sbom/scan.ts";
import type { ScannedTree } from "../attestations/sbom/scanned-tree.ts";
import { spdxDocument } from "../attestations/sbom/spdx.ts";
import { type Predicate, predicateTypes } from "../attestations/statement.ts";
import type { BuiltImage } from "../build.ts";
import { readFileIn } from "../daemon/find-dockerfile.ts";
import type { BuildListener } from "../progress.ts";
import type { ExportParts } from "./exporters.ts";
import { internalStep } from "./internal-step.ts";

export interface PredicateCall {
  readonly images: readonly BuiltImage[];
  readonly options: AttestOptions;
  readonly listener: BuildListener;
  readonly signal: AbortSignal;
}

type Parts = Pick<ExportParts, "view">;

/** An image of which nothing is asked for has none. */
export async function predicatesOf(
  parts: Parts,
  { images, options, listener, signal }: PredicateCall,
): Promise<ReadonlyMap<BuiltImage, readonly Predicate[]>> {
  const made = new Map<BuiltImage, readonly Predicate[]>();
  const { provenance, sbom } = options;
  for (const image of images) {
    const inventory = sbom
      ? await internalStep(
          listener,
          `[${image.platform}] generating sbom`,
          () => inventoryOf(parts, image, signal),
          image.platform,
        )
      : [];
    const origin = provenance && !provenance.inlineOnly ? originOf(image) : undefined;
    made.set(image, [...inventory, ...(origin ? [provenanceOf(origin, provenance!)] : [])]);
  }
  return made;
}

/** Of every build over BuildKit's protocol. */
function originOf({ origin, platform }: BuiltImage) {
  if (!origin) throw new HullError("internal", `nothing is known of how the image for ${platform} came to be`);
  return origin;
}

/** The image, then the stages and the context that the Dockerfile names. */
async function inventoryOf(parts: Parts, image: BuiltImage, signal: AbortSignal): Promise<Predicate[]> {
  const { stack, scans, platform } = image;
  const made: Predicate[] = [];
  for (const scanned of [
    { name: "sbom", stack },
    ...scans.map(({ name, stack }) => ({ name: `sbom-${name}`, stack })),
  ]) {
    await using view = await parts.view(scanned.stack);
    const entries = await view.list(signal);
    const read: ScannedTree["read"] = (path, maxBytes) => view.read(path, maxBytes);
    made.push(await documentOf(scanned.name, { entries, read }, { image, signal }));
  }
  if (!image.scansContext) return made;
  const tree = await image.contextTree?.(signal);
  if (!tree) throw new HullError("internal", `the image for ${platform} has no context that could be looked through`);
  const read: ScannedTree["read"] = async (path, maxBytes) => {
    const bytes = await readFileIn(tree, path);
    return bytes && bytes.length <= maxBytes ? bytes : undefined;
  };
  return [...made, await documentOf("sbom-context", { entries: tree.entries, read }, { image, signal })];
}

async function documentOf(
  name: string,
  tree: ScannedTree,
  { image, signal }: { readonly image: BuiltImage; readonly signal: AbortSignal },
): Promise<Predicate> {
  const scan = await scanTree(tree, signal);
  const createdMs = Date.parse(String(image.config.created ?? "")) || Date.now();
  return { type: predicateTypes.spdx, value: spdxDocument(scan, { name, createdMs }) };
}
