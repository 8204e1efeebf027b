/** Image records: names for descriptors. Each is a gc root. */
import type { Descriptor } from "../../oci/image.ts";
import { HullError } from "../../platform/errors.ts";
import type { Database } from "./database.ts";
import { asJson, Records } from "./records.ts";

export interface ImageRecord {
  readonly name: string;
  readonly target: Descriptor;
  readonly labels: Readonly<Record<string, string>>;
  readonly createdAt: number;
  readonly updatedAt: number;
}

export type ImageChange = "create" | "update" | "delete";
type Draft = Pick<ImageRecord, "name" | "target" | "labels">;

/** An image without a name of its own, as moby's containerd store calls it. */
export const danglingName = (digest: string): string => `moby-dangling@${digest}`;

export class ImageRecords {
  readonly #records: Records<ImageRecord>;

  constructor(
    db: Database,
    private readonly onChange: (namespace: string, change: ImageChange, image: ImageRecord) => void,
  ) {
    this.#records = new Records<ImageRecord>({ db, table: "image", ...asJson<ImageRecord>() });
  }

  find(namespace: string, name: string): ImageRecord | undefined {
    return this.#records.find(namespace, name);
  }

  get(namespace: string, name: string): ImageRecord {
    return this.#records.get(namespace, name);
  }

  list(namespace: string): ImageRecord[] {
    return this.#records.list(namespace);
  }

  namespaces(): string[] {
    return this.#records.namespaces();
  }

  /** Throws `already-exists`. */
  create(namespace: string, draft: Draft): ImageRecord {
    if (draft.name === "") throw new HullError("invalid-argument", "an image's name must not be empty");
    const now = Date.now();
    const image = { ...draft, createdAt: now, updatedAt: now };
    this.#records.create(namespace, draft.name, image);
    this.onChange(namespace, "create", image);
    return image;
  }

  /** Throws `not-found`. */
  update(namespace: string, name: string, change: Partial<Pick<ImageRecord, "target" | "labels">>): ImageRecord {
    const image = { ...this.get(namespace, name), ...change, updatedAt: Date.now() };
    this.#records.put(namespace, name, image);
    this.onChange(namespace, "update", image);
    return image;
  }

  /** Creates the name or moves it. What it named before stays as a dangling image when `keepReplaced` and nothing else names it. */
  point(namespace: string, draft: Draft, keepReplaced: boolean): ImageRecord {
    const before = this.find(namespace, draft.name);
    const dangling = danglingName(draft.target.digest);
    if (draft.name !== dangling && this.find(namespace, dangling)) this.delete(namespace, dangling);
    if (before === undefined) return this.create(namespace, draft);
    const image = this.update(namespace, draft.name, draft);
    const replaced = before.target.digest;
    const named = this.list(namespace).some((other) => other.target.digest === replaced);
    if (keepReplaced && !named)
      this.create(namespace, { name: danglingName(replaced), target: before.target, labels: {} });
    return image;
  }

  /** Throws `not-found`. */
  delete(namespace: string, name: string): ImageRecord {
    const image = this.get(namespace, name);
    this.#records.delete(namespace, name);
    this.onChange(namespace, "delete", image);
    return image;
  }
}
