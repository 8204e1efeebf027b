/** What `docker rmi` does to an image, decided from memory. Pure; the rules and sentences are Docker's. */
import {
  familiarReference,
  familiarRepository,
  formatReference,
  parseReference,
  type Reference,
  withDefaultTag,
} from "../../oci/reference.ts";
import { HullError } from "../../platform/errors.ts";
import type { ImageUser } from "./api.ts";
import { type Catalog, type Image, type ImageRecord, isDangling } from "./catalog.ts";

export interface Removal {
  /** Records to delete. */
  readonly records: readonly ImageRecord[];
  /** The image itself goes (its last record). False: other names stay. */
  readonly deletesImage: boolean;
  /** A container still needs it: a record without a name has to keep it. */
  readonly keepsContent: boolean;
}

export interface RemovalRequest {
  /** As the user wrote it. */
  readonly text: string;
  readonly force: boolean;
  readonly users: readonly ImageUser[];
}

const short = (id: string): string => id.replace("sha256:", "").slice(0, 12);

/** Throws conflict when a container or another name holds the image. */
export function planRemoval(image: Image, request: RemovalRequest): Removal {
  const named = image.records.filter(({ reference }) => reference !== undefined);
  const byId = isIdOf(image, request.text);
  if (!byId) return removeName(image, named, request);
  const repositories = new Set(named.map(({ reference }) => familiarRepository(reference!)));
  refuseWhenRunning(image, request);
  if (!request.force && repositories.size > 1) {
    throw conflict(image, "must be forced", "image is referenced in multiple repositories");
  }
  refuseWhenUsed(image, request);
  return { records: image.records, deletesImage: true, keepsContent: request.users.length > 0 };
}

function removeName(image: Image, named: readonly ImageRecord[], request: RemovalRequest): Removal {
  const record = named.find((candidate) => isName(candidate, request.text));
  if (!record) throw new HullError("not-found", `No such image: ${request.text}`);
  const records = [record, ...orphanedDigests(record, named)];
  const last = records.length === named.length;
  const [user] = request.users;
  if (last && !request.force && user) {
    throw new HullError(
      "conflict",
      `conflict: unable to remove repository reference ${JSON.stringify(request.text)} (must force) - container ${user.containerId.slice(0, 12)} is using its referenced image ${short(image.id)}`,
    );
  }
  if (!last) return { records, deletesImage: false, keepsContent: false };
  refuseWhenRunning(image, request);
  return { records: image.records, deletesImage: true, keepsContent: request.users.length > 0 };
}

/** A repository whose last tag goes loses its digests too. */
function orphanedDigests({ reference, name }: ImageRecord, named: readonly ImageRecord[]): ImageRecord[] {
  if (reference?.digest !== undefined) return [];
  const repository = familiarRepository(reference!);
  const others = named.filter((one) => one.name !== name && familiarRepository(one.reference!) === repository);
  return others.every((one) => one.reference!.digest !== undefined) ? others : [];
}

export function isIdOf(image: Image, text: string): boolean {
  const hex = text.replace(/^sha256:/, "");
  return (
    /^[0-9a-f]+$/.test(hex) &&
    image.id.startsWith(`sha256:${hex}`) &&
    !image.records.some((record) => isName(record, text))
  );
}

function isName({ reference, target }: ImageRecord, text: string): boolean {
  if (!reference || text.startsWith("sha256:") || /^[0-9a-f]{64}$/.test(text)) return false;
  const wanted = withDefaultTag(parseReference(text));
  if (formatReference(wanted) === formatReference(reference)) return true;
  const sameRepository = familiarRepository(wanted) === familiarRepository(reference);
  return sameRepository && wanted.digest !== undefined && wanted.digest === target.digest;
}

function refuseWhenRunning(image: Image, { users }: RemovalRequest): void {
  const running = users.find((user) => user.running);
  if (!running) return;
  throw conflict(
    image,
    "cannot be forced",
    `image is being used by running container ${running.containerId.slice(0, 12)}`,
  );
}

function refuseWhenUsed(image: Image, { users, force }: RemovalRequest): void {
  const [user] = users;
  if (!user || force) return;
  throw conflict(image, "must be forced", `image is being used by stopped container ${user.containerId.slice(0, 12)}`);
}

const conflict = (image: Image, how: string, why: string): HullError =>
  new HullError("conflict", `conflict: unable to delete ${short(image.id)} (${how}) - ${why}`);

/** The answer's rows: names, then the image, then the layers that only it had, top first. */
export function removalRows(image: Image, removal: Removal, catalog: Catalog): object[] {
  const untagged = removal.records.flatMap(({ reference }) => (reference ? [{ Untagged: shownName(reference) }] : []));
  if (!removal.deletesImage || removal.keepsContent) return untagged;
  const others = new Set(
    [...catalog.byId.values()]
      .filter(({ id }) => id !== image.id)
      .flatMap(({ layers }) => layers.map(({ chainId }) => chainId)),
  );
  const layers = image.layers.filter(({ chainId }) => !others.has(chainId)).reverse();
  return [...untagged, { Deleted: image.id }, ...layers.map(({ chainId }) => ({ Deleted: chainId }))];
}

export const shownName = (reference: Reference): string => familiarReference(reference);

export const isRemovable = (image: Image, onlyDangling: boolean, users: readonly ImageUser[]): boolean =>
  users.length === 0 && (!onlyDangling || isDangling(image));
