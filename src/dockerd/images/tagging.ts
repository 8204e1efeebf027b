/** Giving names to images and taking them away: tag, rmi, prune. containerd's records change first, then the memory, then the events. */
import { call } from "../../containerd/client.ts";
import {
  familiarReference,
  formatReference,
  parseReference,
  type Reference,
  withDefaultTag,
} from "../../oci/reference.ts";
import { HullError } from "../../platform/errors.ts";
import type { Filters } from "../http/filters.ts";
import type { Scope } from "./archives.ts";
import { danglingName, type Image, isDangling, sizeOf } from "./catalog.ts";
import { untilMs } from "./list-filters.ts";
import { planRemoval, removalRows, shownName } from "./removal.ts";
import type { Images } from "./service.ts";

export interface TagRequest {
  readonly source: string;
  readonly repository: string;
  /** Empty is latest. */
  readonly tag: string;
}

export async function tagImage(images: Images, request: TagRequest, scope: Scope): Promise<void> {
  const image = images.get(request.source);
  const reference = newName(request);
  const name = formatReference(reference);
  const holder = images.catalog.byName.get(name);
  const target = wireTarget(image);
  const { images: records } = images.parts.containerd;
  if (holder && holder.id !== image.id) await keepUnnamed(images, holder, scope);
  if (holder) await records.update({ image: { name, target } }, call(scope));
  else await records.create({ image: { name, target } }, call(scope));
  if (isDangling(image))
    await deleteRecords(
      images,
      image.records.map((record) => record.name),
      scope,
    );
  await images.reload();
  images.publish("tag", image, familiarReference(reference));
}

/** What the image's own record points at: the index of a multi-platform image stays whole. */
const wireTarget = (image: Image) => {
  const { mediaType, digest, size } = image.records[0]!.target;
  return { mediaType, digest, size: BigInt(size) };
};

function newName({ repository, tag }: TagRequest): Reference {
  const reference = parseReference(tag === "" ? repository : `${repository}:${tag}`);
  if (reference.digest !== undefined) {
    throw new HullError("invalid-argument", "refusing to create a tag with a digest reference");
  }
  return withDefaultTag(reference);
}

/** An image whose last name is about to go gets a record without a name. */
async function keepUnnamed(images: Images, image: Image, scope: Scope): Promise<void> {
  if (image.records.length > 1) return;
  const target = wireTarget(image);
  const name = danglingName(target.digest);
  if (images.catalog.byName.has(name)) return;
  await images.parts.containerd.images.create({ image: { name, target } }, call(scope));
}

async function deleteRecords(images: Images, names: readonly string[], scope: Scope): Promise<void> {
  for (const name of names) await images.parts.containerd.images.delete({ name }, call(scope));
}

export interface RemoveRequest {
  readonly text: string;
  readonly force: boolean;
}

/** Docker's rows: {Untagged}, {Deleted}. Throws not-found, conflict. */
export async function removeImage(images: Images, request: RemoveRequest, scope: Scope): Promise<object[]> {
  const image = images.get(request.text);
  const removal = planRemoval(image, { ...request, users: images.parts.users(image.id) });
  const rows = removalRows(image, removal, images.catalog);
  const unnamed = removal.records.every(({ reference }) => reference === undefined);
  if (removal.keepsContent && unnamed) return rows;
  if (removal.keepsContent) await keepUnnamed(images, { ...image, records: image.records.slice(0, 1) }, scope);
  const doomed = removal.keepsContent ? removal.records.filter(({ reference }) => reference) : removal.records;
  await deleteRecords(
    images,
    doomed.map((record) => record.name),
    scope,
  );
  await images.reload();
  for (const { reference } of doomed) if (reference) images.publish("untag", image, shownName(reference));
  if (removal.deletesImage && !removal.keepsContent) images.publish("delete", image, image.id);
  return rows;
}

/** Removes what no container uses. Resolves with Docker's answer. */
export async function pruneImages(images: Images, filters: Filters, scope: Scope): Promise<object> {
  const onlyDangling = filters.bool("dangling") ?? true;
  const until = untilMs(filters);
  const rows: object[] = [];
  let reclaimed = 0;
  for (const image of images.catalog.byId.values()) {
    const wanted =
      (!onlyDangling || isDangling(image)) &&
      images.parts.users(image.id).length === 0 &&
      (until === undefined || image.createdMs < until) &&
      filters.labels("label", image.labels) &&
      filters.withoutLabels("label!", image.labels);
    if (!wanted || scope.signal.aborted) continue;
    rows.push(...(await removeImage(images, { text: image.id, force: true }, scope)));
    reclaimed += sizeOf(image);
  }
  images.parts.events.publish({ type: "image", action: "prune", id: "", attributes: { reclaimed: String(reclaimed) } });
  return { ImagesDeleted: rows.length === 0 ? null : rows, SpaceReclaimed: reclaimed };
}
