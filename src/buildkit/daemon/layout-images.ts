/**
 * Images of OCI layouts that somebody else has and gives out blob by blob: brought together as a layout of ours, which hull-containerd loads and verifies.
 * An image that is here already is not fetched.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { mkdir, open, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type ContainerdClient, call } from "../../containerd/client.ts";
import { operation } from "../../keel/plan.ts";
import type { KeelServe } from "../../keel/serve.ts";
import { type Digest, digestOf, hexOf, parseDigest } from "../../oci/digest.ts";
import {
  chooseManifest,
  type Descriptor,
  isIndex,
  MAX_DOCUMENT_BYTES,
  type Manifest,
  parseManifestOrIndex,
} from "../../oci/image.ts";
import { hostPlatform, type Platform, parsePlatform } from "../../oci/platform.ts";
import { codeOf, HullError } from "../../platform/errors.ts";

export interface LayoutImagesParts {
  readonly containerd: Pick<ContainerdClient, "imageStore">;
  readonly snapshotter: string;
  readonly keel: Pick<KeelServe, "run">;
  /** Below the data root: hull-containerd moves files out of it. */
  readonly directory: string;
  readonly warn: (message: string) => void;
}

/** A blob from its beginning. Throws not-found. */
export type ReadBlob = (digest: Digest) => AsyncIterable<Uint8Array>;

export interface LayoutRequest {
  readonly read: ReadBlob;
  /** Of a manifest or an index. */
  readonly digest: string;
  /** "linux/amd64"; "" is this machine's. */
  readonly platform: string;
  readonly signal: AbortSignal;
}

const bad = (message: string): HullError => new HullError("invalid-argument", `OCI layout: ${message}`);

export class LayoutImages {
  constructor(private readonly parts: LayoutImagesParts) {
    mkdirSync(parts.directory, { recursive: true, mode: 0o700 });
  }

  /** What a builder that was killed left. */
  async recover(): Promise<void> {
    for (const name of await readdir(this.parts.directory)) await this.#remove(join(this.parts.directory, name));
  }

  /** Docker's id of the image, which is here then, without a name. */
  async load({ read, digest, platform, signal }: LayoutRequest): Promise<string> {
    const wanted = platform === "" ? hostPlatform() : parsePlatform(platform);
    const { bytes, manifest } = await manifestOf(read, parseDigest(digest), wanted);
    const { config, layers, mediaType } = manifest;
    if (await this.#isHere(config.digest)) return config.digest;
    const directory = join(this.parts.directory, randomBytes(8).toString("hex"));
    const blobs = join(directory, "blobs/sha256");
    await mkdir(blobs, { recursive: true, mode: 0o700 });
    try {
      const own = digestOf(bytes);
      await writeFile(join(blobs, hexOf(own)), bytes);
      for (const blob of new Map([config, ...layers].map((one) => [one.digest, one])).values()) {
        signal.throwIfAborted();
        await save(read, blob, join(blobs, hexOf(blob.digest)));
      }
      const index = { schemaVersion: 2, manifests: [{ mediaType, digest: own, size: bytes.length }] };
      await writeFile(join(directory, "index.json"), JSON.stringify(index));
      return await this.#take(directory, platform, signal);
    } finally {
      this.#remove(directory).catch((error: unknown) => this.parts.warn(`${directory}: ${String(error)}`));
    }
  }

  async #isHere(config: Digest): Promise<boolean> {
    try {
      await this.parts.containerd.imageStore.get({ name: config }, call({}));
      return true;
    } catch (error) {
      if (codeOf(error) === "not-found") return false;
      throw error;
    }
  }

  async #take(directory: string, platform: string, signal: AbortSignal): Promise<string> {
    const { containerd, snapshotter } = this.parts;
    const request = { directory, snapshotter, platform, keepReplaced: true };
    let id = "";
    for await (const { step } of containerd.imageStore.load(request, call({ signal })))
      if (step.case === "loaded") id = step.value.configDigest;
    return id;
  }

  async #remove(path: string): Promise<void> {
    await this.parts.keel.run([
      operation("removeTree", { path }, { tolerate: ["ENOENT"], cause: "an image that was received" }),
    ]);
  }
}

interface FoundManifest {
  readonly bytes: Buffer;
  readonly manifest: Manifest;
}

async function manifestOf(read: ReadBlob, digest: Digest, platform: Platform): Promise<FoundManifest> {
  const bytes = await document(read, digest);
  const parsed = parseManifestOrIndex(bytes);
  if (!isIndex(parsed)) return { bytes, manifest: parsed };
  const chosen = chooseManifest(parsed, platform);
  if (!chosen) throw new HullError("not-found", `OCI layout: ${digest} has no image for this platform`);
  const inner = await document(read, chosen.digest);
  const manifest = parseManifestOrIndex(inner, chosen.mediaType);
  if (isIndex(manifest)) throw bad(`${chosen.digest} is an index inside an index`);
  return { bytes: inner, manifest };
}

async function document(read: ReadBlob, digest: Digest): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of read(digest)) {
    bytes += piece.length;
    if (bytes > MAX_DOCUMENT_BYTES) throw bad(`${digest} has more than ${MAX_DOCUMENT_BYTES} bytes`);
    parts.push(piece);
  }
  const whole = Buffer.concat(parts);
  if (digestOf(whole) !== digest) throw bad(`what was given for ${digest} has digest ${digestOf(whole)}`);
  return whole;
}

/** Its digest is looked at when it is loaded. */
async function save(read: ReadBlob, { digest, size }: Descriptor, path: string): Promise<void> {
  await using file = await open(path, "wx", 0o600);
  let done = 0;
  for await (const piece of read(digest)) {
    if (done + piece.length > size) break;
    for (let at = 0; at < piece.length; ) at += (await file.write(piece, at)).bytesWritten;
    done += piece.length;
  }
  if (done !== size) throw bad(`blob ${digest} does not have the ${size} bytes that it should`);
}
