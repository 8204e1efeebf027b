/** Images in and out as archives: load, save, import. Bodies are streamed; keel reads and writes the tars. */
import { randomBytes } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { call } from "../../containerd/client.ts";
import { operation } from "../../keel/plan.ts";
import { hostPlatform } from "../../oci/platform.ts";
import {
  familiarReference,
  familiarRepository,
  formatReference,
  parseReference,
  withDefaultTag,
} from "../../oci/reference.ts";
import type { SpanContext } from "../../trace/context.ts";
import { patientStream } from "../containers/patient-client.ts";
import { applyTar } from "../keel-stream.ts";
import type { Kernel } from "../kernel.ts";
import { timeNow } from "../time.ts";
import { type Image, isDangling } from "./catalog.ts";
import { applyChanges } from "./changes.ts";
import { decompressed } from "./decompress.ts";
import { isIdOf } from "./removal.ts";
import type { Images } from "./service.ts";

/** Times in which the client may go away; `parent` is the request's span. */
export interface Scope {
  readonly signal: AbortSignal;
  readonly parent: SpanContext;
}

export type LoadStep =
  | {
      readonly kind: "layer";
      readonly diffId: string;
      readonly state: string;
      readonly current: number;
      readonly total: number;
    }
  /** `name` is empty for an image without one. */
  | { readonly kind: "loaded"; readonly id: string; readonly name: string }
  | { readonly kind: "replaced"; readonly id: string; readonly name: string };

export interface ImportRequest {
  readonly body: AsyncIterable<Uint8Array>;
  /** Empty: unnamed. */
  readonly repository: string;
  readonly tag: string;
  readonly message: string;
  readonly changes: readonly string[];
}

export class ImageArchives {
  constructor(
    private readonly images: Images,
    private readonly kernel: Kernel,
    /** Below the data root, so that containerd may move files out of it. */
    private readonly scratch: string,
  ) {}

  /** Deletes what an earlier hulld was killed over. Before the first request. */
  async open(): Promise<void> {
    for (const name of await readdir(this.scratch).catch(() => [])) this.#removeLater(join(this.scratch, name));
  }

  /** Unpacks the archive into a directory of its own and hands that to containerd. Nothing of it stays. */
  async *load(body: AsyncIterable<Uint8Array>, platform: string, scope: Scope): AsyncGenerator<LoadStep> {
    const directory = await this.#makeScratch("load");
    try {
      await applyTar({ args: ["--directory", directory], body: decompressed(body), signal: scope.signal });
      yield* this.#loadDirectory(directory, platform, scope);
    } finally {
      this.#removeLater(directory);
    }
  }

  async *#loadDirectory(directory: string, platform: string, scope: Scope): AsyncGenerator<LoadStep> {
    const before = this.images.catalog;
    const request = { directory, platform, keepReplaced: true };
    const { imageStore } = this.images.parts.containerd;
    for await (const { step } of patientStream(() => imageStore.load(request, call(scope)))) {
      if (step.case === "layer") {
        const { diffId, state, current, total } = step.value;
        yield { kind: "layer", diffId, state, current: Number(current), total: Number(total) };
      }
      if (step.case !== "loaded") continue;
      const { name, configDigest } = step.value;
      await this.images.reload();
      const image = this.images.catalog.byId.get(configDigest);
      const shown = name === "" || name.startsWith("sha256:") ? "" : shownName(name);
      if (image) this.images.publish("load", image, shown || image.id);
      const replaced = before.byName.get(name);
      if (replaced && replaced.id !== configDigest) yield { kind: "replaced", id: replaced.id, name: shown };
      yield { kind: "loaded", id: configDigest, name: shown };
    }
  }

  /** Which images and names an archive of these names holds. Throws not-found before any byte is made. */
  selection(names: readonly string[]): { readonly image: string; readonly reference: string }[] {
    return names.flatMap((name) => {
      const image = this.#findForSave(name);
      this.images.publish("save", image, image.id);
      if (isIdOf(image, name)) return [{ image: image.id, reference: "" }];
      return referencesFor(name, this.images, image).map((reference) => ({ image: reference, reference }));
    });
  }

  async *save(
    selection: readonly { readonly image: string; readonly reference: string }[],
    scope: Scope,
  ): AsyncGenerator<Uint8Array> {
    const chunks = this.images.parts.containerd.imageStore.export({ images: [...selection] }, call(scope));
    for await (const { data } of chunks) yield data;
  }

  /** A new image whose only layer is the tar. Resolves with its id. */
  async import(request: ImportRequest, scope: Scope): Promise<string> {
    const reference = importName(request);
    const config = importConfig(request);
    const directory = await this.#makeScratch("import");
    try {
      const tar = join(directory, "layer");
      await pipeline(Readable.from(decompressed(request.body)), createWriteStream(tar, { mode: 0o600 }), {
        signal: scope.signal,
      });
      const details = await this.images.parts.containerd.imageStore.addLayer(
        {
          source: { case: "tar", value: tar },
          config: Buffer.from(JSON.stringify(config)),
          name: reference === undefined ? "" : formatReference(reference),
          keepReplaced: true,
        },
        call(scope),
      );
      const image = await this.images.refresh(details.name);
      const name = reference === undefined ? image.id : familiarReference(reference);
      this.images.publish("import", { id: image.id, labels: {} }, name);
      return image.id;
    } finally {
      this.#removeLater(directory);
    }
  }

  #findForSave(name: string): Image {
    try {
      return this.images.get(name);
    } catch (error) {
      // A repository whose `latest` is not there is saved with the tags it has.
      const tagged = /[:@]/.test(name.slice(name.lastIndexOf("/") + 1));
      const image = tagged ? undefined : imageOfRepository(this.images, name);
      if (image) return image;
      throw error;
    }
  }

  async #makeScratch(what: string): Promise<string> {
    const directory = join(this.scratch, `${what}-${randomBytes(8).toString("hex")}`);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return directory;
  }

  #removeLater(directory: string): void {
    const removing = this.kernel.run(`delete ${directory}`, [operation("removeTree", { path: directory })]);
    removing
      .catch(() => rm(directory, { recursive: true, force: true }))
      .catch((error) => {
        this.images.parts.onFailure(`delete ${directory}`, error);
      });
  }
}

function shownName(recordName: string): string {
  return recordName.startsWith("moby-dangling@") ? "" : familiarReference(parseReference(recordName));
}

const ofRepository = (images: Images, name: string) => {
  const wanted = familiarRepository(parseReference(name));
  return [...images.catalog.byId.values()].flatMap((image) =>
    image.records
      .filter(({ reference }) => reference?.tag !== undefined && familiarRepository(reference) === wanted)
      .map((record) => ({ image, record })),
  );
};

const imageOfRepository = (images: Images, name: string): Image | undefined => ofRepository(images, name)[0]?.image;

/** Record names to save: the one asked for, or every tag when a repository is named without one. */
function referencesFor(name: string, images: Images, image: Image): string[] {
  const reference = parseReference(name);
  if (reference.tag === undefined && reference.digest === undefined) {
    const all = ofRepository(images, name).map(({ record }) => record.name);
    if (all.length > 0) return all;
  }
  return isDangling(image) ? [image.records[0]!.name] : [formatReference(withDefaultTag(reference))];
}

function importName({ repository, tag }: ImportRequest) {
  if (repository === "") return undefined;
  return withDefaultTag(parseReference(tag === "" ? repository : `${repository}:${tag}`));
}

function importConfig(request: ImportRequest): object {
  const created = timeNow();
  const { os, architecture, variant } = hostPlatform();
  return {
    created,
    os,
    architecture,
    ...(variant === undefined ? {} : { variant }),
    config: applyChanges({}, request.changes),
    history: [{ created, comment: request.message || "Imported from -" }],
  };
}
