/** What pulls and pushes have in common: a layer's line in dockerd's words, and the event at the end. */
import { familiarReference, familiarRepository, formatReference, type Reference } from "../../oci/reference.ts";
import type { ImagePorts } from "./ports.ts";
import { barLine, plainLine } from "./progress.ts";

export interface WireLayer {
  readonly id: string;
  readonly state: string;
  readonly current: bigint;
  readonly total: bigint;
  /** Of "mounted": the repository. */
  readonly from: string;
}

/** States by the words of a line with a bar, and of one without. */
export interface LayerWords {
  readonly bars: Readonly<Record<string, string>>;
  readonly plain: Readonly<Record<string, string>>;
}

export function layerLine({ id, state, current, total, from }: WireLayer, { bars, plain }: LayerWords): object {
  const short = id.replace("sha256:", "").slice(0, 12);
  const bar = bars[state];
  if (bar !== undefined) return barLine(bar, short, { current: Number(current), total: Number(total) });
  if (state === "retrying") return plainLine(`Retrying in ${current} second${current === 1n ? "" : "s"}`, short);
  if (state === "mounted") return plainLine(`Mounted from ${from}`, short);
  return plainLine(plain[state] ?? state, short);
}

export function announceTransfer(images: ImagePorts["images"], action: "pull" | "push", reference: Reference): void {
  const image = images.catalog.byName.get(formatReference(reference));
  const attributes = { ...image?.labels, name: familiarRepository(reference) };
  images.parts.events.publish({ type: "image", action, id: familiarReference(reference), attributes });
}
