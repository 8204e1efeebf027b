/** For tests: small image archives as directories, and stores of their own in a directory. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { KeelServe } from "../../keel/serve.ts";
import { digestOf, hexOf } from "../../oci/digest.ts";
import { Collector } from "../collector.ts";
import { EventBroker } from "../event-broker.ts";
import { rootsOf } from "../roots.ts";
import { openStores } from "../stores.ts";
import { ImageReader } from "./image-details.ts";
import type { ImageTools } from "./image-tools.ts";
import { LayerStore } from "./layer-store.ts";

export interface Workshop extends AsyncDisposable {
  readonly tools: ImageTools;
  readonly directory: string;
  /** A new empty directory below the data root. */
  readonly scratch: (name: string) => string;
}

export async function openWorkshop(): Promise<Workshop> {
  const directory = mkdtempSync(join(process.env.TMPDIR ?? "/tmp", "hull-images-"));
  const roots = rootsOf(join(directory, "data"), join(directory, "exec"));
  mkdirSync(join(roots.content, "scratch"), { recursive: true });
  const kernel = await KeelServe.open();
  const failures: string[] = [];
  const stores = await openStores({
    roots,
    kernel,
    events: new EventBroker(),
    warn: (text) => void failures.push(text),
  });
  stores.namespaces.ensure("test");
  const collector = new Collector(stores, (error) => void failures.push(String(error)));
  const scratch = join(roots.content, "scratch");
  const reader = new ImageReader(stores.content);
  const tools: ImageTools = { stores, reader, layers: new LayerStore(kernel), collector, kernel, scratch };
  return {
    tools,
    directory,
    scratch: (name) => {
      const path = join(roots.dataRoot, "spool", name);
      mkdirSync(path, { recursive: true });
      return path;
    },
    async [Symbol.asyncDispose]() {
      collector[Symbol.dispose]();
      await Promise.all(stores.snapshotters.all().map((store) => store.settled()));
      await kernel[Symbol.asyncDispose]();
      stores[Symbol.dispose]();
      rmSync(directory, { recursive: true, force: true });
      if (failures.length > 0) throw new Error(failures.join("\n"));
    },
  };
}

/** Files of one layer: path to text; null deletes it (a whiteout). */
export type LayerFiles = Readonly<Record<string, string | null>>;

/** The layer as a plain tar, made by tar(1). */
export function layerTar(directory: string, files: LayerFiles): Buffer {
  const tree = mkdtempSync(join(directory, "layer-"));
  for (const [path, text] of Object.entries(files)) {
    const parts = path.split("/");
    const name = text === null ? `.wh.${parts.at(-1)}` : parts.at(-1)!;
    const parent = join(tree, ...parts.slice(0, -1));
    mkdirSync(parent, { recursive: true });
    writeFileSync(join(parent, name), text ?? "");
  }
  const bytes = execFileSync("tar", ["-C", tree, "--sort=name", "--mtime=@0", "-cf", "-", "."], { maxBuffer: 1 << 28 });
  rmSync(tree, { recursive: true });
  return bytes;
}

export interface ArchiveDraft {
  readonly names: readonly string[] | null;
  readonly layers: readonly LayerFiles[];
  readonly gzip?: boolean;
  /** Changes of the config document. */
  readonly config?: Readonly<Record<string, unknown>>;
}

export interface WrittenArchive {
  readonly config: Buffer;
  readonly layerPaths: readonly string[];
  readonly manifest: { Config: string; RepoTags: readonly string[] | null; Layers: string[] }[];
}

/** Writes a docker-archive, unpacked, into `directory`. */
export function writeDockerArchive(directory: string, draft: ArchiveDraft): WrittenArchive {
  const tars = draft.layers.map((files) => layerTar(directory, files));
  const document = {
    architecture: process.arch === "x64" ? "amd64" : process.arch,
    os: "linux",
    config: { Cmd: ["sh"] },
    rootfs: { type: "layers", diff_ids: tars.map((tar) => digestOf(tar)) },
    ...draft.config,
  };
  const config = Buffer.from(JSON.stringify(document));
  const layerPaths = tars.map((tar, i) => {
    const path = join(directory, `layer${i}`, "layer.tar");
    mkdirSync(join(directory, `layer${i}`), { recursive: true });
    writeFileSync(path, draft.gzip ? gzipSync(tar) : tar);
    return path;
  });
  const configName = `${hexOf(digestOf(config))}.json`;
  writeFileSync(join(directory, configName), config);
  const manifest = [
    { Config: configName, RepoTags: draft.names, Layers: layerPaths.map((_, i) => `layer${i}/layer.tar`) },
  ];
  writeFileSync(join(directory, "manifest.json"), JSON.stringify(manifest));
  return { config, layerPaths, manifest };
}
