/**
 * What is in an unpacked image archive: OCI layout (index.json) or docker-archive (manifest.json). Paths in it are
 * untrusted: each must lead to a regular file inside the directory, through links too (old archives link equal layers).
 */
import { open, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, digestOf, hexOf } from "../../oci/digest.ts";
import {
  chooseManifest,
  type Descriptor,
  isIndex,
  MAX_DOCUMENT_BYTES,
  type Manifest,
  parseImageConfig,
  parseManifestOrIndex,
} from "../../oci/image.ts";
import { formatPlatform, type Platform } from "../../oci/platform.ts";
import { formatReference, parseReference, withDefaultTag } from "../../oci/reference.ts";
import { codeOf, HullError } from "../../platform/errors.ts";

export interface ArchivedLayer {
  readonly path: string;
  /** Of the file; undefined in a docker-archive. */
  readonly descriptor?: Descriptor;
}

export interface ArchivedImage {
  /** Full references; empty: the archive names none. */
  readonly names: readonly string[];
  readonly config: Buffer;
  readonly diffIds: readonly Digest[];
  readonly layers: readonly ArchivedLayer[];
  /** The manifest as it was; undefined in a docker-archive, which has none. */
  readonly manifest?: { readonly bytes: Buffer; readonly descriptor: Descriptor; readonly parsed: Manifest };
}

/** Throws `invalid-argument` for anything that is not a whole, well-formed image archive. */
export async function readArchive(directory: string, platform: Platform): Promise<ArchivedImage[]> {
  const root = await realpath(directory);
  if (await isFile(join(root, "manifest.json"))) return readDockerArchive(root);
  if (await isFile(join(root, "index.json"))) return readLayout(root, platform);
  throw new HullError("invalid-argument", "not an image archive: it has neither manifest.json nor index.json");
}

const isFile = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isFile(),
    () => false,
  );

async function readDockerArchive(root: string): Promise<ArchivedImage[]> {
  const entries = parseEntries(await readDocument(root, "manifest.json"));
  return Promise.all(entries.map((entry) => readDockerImage(root, entry)));
}

interface DockerEntry {
  readonly Config: string;
  readonly RepoTags: readonly string[] | null;
  readonly Layers: readonly string[];
}

function parseEntries(bytes: Buffer): DockerEntry[] {
  const entries = parseJson(bytes, "manifest.json");
  if (!Array.isArray(entries)) throw bad("manifest.json must be an array");
  return entries.map((entry: unknown, i) => {
    const { Config, RepoTags = null, Layers } = (entry ?? {}) as Partial<DockerEntry>;
    const strings = (list: unknown): boolean => Array.isArray(list) && list.every((text) => typeof text === "string");
    if (typeof Config !== "string" || !strings(Layers) || !(RepoTags === null || strings(RepoTags))) {
      throw bad(`manifest.json /${i}: Config, RepoTags and Layers must be a path, names and paths`);
    }
    return { Config, RepoTags, Layers: Layers! };
  });
}

async function readDockerImage(root: string, entry: DockerEntry): Promise<ArchivedImage> {
  const config = await readDocument(root, entry.Config);
  const named = /(?:^|\/)([0-9a-f]{64})(?:\.json)?$/.exec(entry.Config)?.[1];
  if (named !== undefined && hexOf(digestOf(config)) !== named) {
    throw bad(`config ${entry.Config} has digest ${digestOf(config)}`);
  }
  const { diffIds } = parseImageConfig(config);
  if (diffIds.length !== entry.Layers.length) {
    throw bad(`invalid manifest, layers length mismatch: expected ${diffIds.length}, got ${entry.Layers.length}`);
  }
  const layers = await Promise.all(entry.Layers.map(async (path) => ({ path: await inside(root, path) })));
  const names = (entry.RepoTags ?? []).map((tag) => formatReference(withDefaultTag(parseReference(tag))));
  return { names, config, diffIds, layers };
}

async function readLayout(root: string, platform: Platform): Promise<ArchivedImage[]> {
  const index = parseManifestOrIndex(await readDocument(root, "index.json"));
  if (!isIndex(index)) throw bad("index.json is not an image index");
  return Promise.all(index.manifests.map((entry) => readLayoutImage(root, entry, platform)));
}

async function readLayoutImage(root: string, entry: Descriptor, platform: Platform): Promise<ArchivedImage> {
  const { bytes, descriptor, parsed } = await readManifest(root, entry, platform);
  const config = await readBlob(root, parsed.config);
  const { diffIds } = parseImageConfig(config);
  if (diffIds.length !== parsed.layers.length) {
    throw bad(`manifest ${descriptor.digest} has ${parsed.layers.length} layers, its config ${diffIds.length}`);
  }
  const layers = await Promise.all(
    parsed.layers.map(async (layer) => ({ path: await inside(root, blobPath(layer.digest)), descriptor: layer })),
  );
  return { names: nameOf(entry), config, diffIds, layers, manifest: { bytes, descriptor, parsed } };
}

async function readManifest(root: string, entry: Descriptor, platform: Platform) {
  const bytes = await readBlob(root, entry);
  const document = parseManifestOrIndex(bytes, entry.mediaType);
  if (!isIndex(document)) return { bytes, descriptor: entry, parsed: document };
  const chosen = chooseManifest(document, platform);
  if (!chosen) throw bad(`index ${entry.digest} has no manifest for ${formatPlatform(platform)}`);
  const inner = await readBlob(root, chosen);
  const parsed = parseManifestOrIndex(inner, chosen.mediaType);
  if (isIndex(parsed)) throw bad(`${chosen.digest} is an index inside an index`);
  return { bytes: inner, descriptor: chosen, parsed };
}

/** containerd and buildx write the whole name, the image-spec only a tag or a name. */
function nameOf(entry: Descriptor): string[] {
  const full = entry.annotations?.["io.containerd.image.name"];
  const short = entry.annotations?.["org.opencontainers.image.ref.name"];
  const text = full ?? (short !== undefined && /[/:]/.test(short) ? short : undefined);
  return text === undefined ? [] : [formatReference(withDefaultTag(parseReference(text)))];
}

const blobPath = (digest: Digest): string => join("blobs", "sha256", hexOf(digest));

async function readBlob(root: string, descriptor: Descriptor): Promise<Buffer> {
  const bytes = await readDocument(root, blobPath(descriptor.digest));
  if (digestOf(bytes) !== descriptor.digest) throw bad(`blob ${descriptor.digest} has digest ${digestOf(bytes)}`);
  if (bytes.length !== descriptor.size)
    throw bad(`blob ${descriptor.digest} has ${bytes.length} bytes, not ${descriptor.size}`);
  return bytes;
}

async function readDocument(root: string, path: string): Promise<Buffer> {
  await using file = await open(await inside(root, path), "r");
  const { size } = await file.stat();
  if (size > MAX_DOCUMENT_BYTES) throw bad(`${path} has ${size} bytes, at most ${MAX_DOCUMENT_BYTES} are read`);
  return file.readFile();
}

/** The regular file that `path` leads to; it must lie in the directory. */
async function inside(root: string, path: string): Promise<string> {
  const outside = (): HullError => bad(`path ${path} leads out of the archive`);
  if (path.startsWith("/") || path.split("/").includes("..")) throw outside();
  const real = await realpath(join(root, path)).catch((error) => {
    throw codeOf(error) === "not-found" ? bad(`the archive lacks ${path}`) : error;
  });
  if (!real.startsWith(`${root}/`)) throw outside();
  if (!(await isFile(real))) throw bad(`${path} is not a regular file`);
  return real;
}

function parseJson(bytes: Buffer, what: string): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch (error) {
    throw new HullError("invalid-argument", `${what} is not valid JSON`, { cause: error });
  }
}

const bad = (message: string): HullError => new HullError("invalid-argument", `invalid image archive: ${message}`);
