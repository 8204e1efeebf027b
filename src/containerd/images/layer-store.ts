/**
 * Layers into snapshots: unpacked by keel in parallel, each into its own directory, then put on each other in order. Every
 * hash is verified before a snapshot gets its name; what fails leaves nothing. Work asked for twice is done once.
 */
import { randomBytes } from "node:crypto";
import { availableParallelism } from "node:os";
import { operation } from "../../keel/plan.ts";
import { type Digest, digestOfHash } from "../../oci/digest.ts";
import { codeOf, during, HullError } from "../../platform/errors.ts";
import type { SpanContext } from "../../trace/context.ts";
import type { Kernel } from "../kernel.ts";
import { type Snapshotter, TRANSIENT } from "../snapshots/snapshotter.ts";
import { layerLabels } from "./layer-labels.ts";
import { Slots } from "./slots.ts";

/** A layer's bytes and what they must be. */
export interface LayerSource {
  /** File with the layer: gzip, zstd or plain. */
  readonly path: string;
  /** Undefined: not known before. */
  readonly digest?: Digest | undefined;
  readonly diffId?: Digest | undefined;
}

export interface LayerHashes {
  /** Of the file as it is. */
  readonly digest: Digest;
  readonly diffId: Digest;
  readonly blobBytes: number;
  readonly plainBytes: number;
  /** Of its regular files; undefined: not unpacked. */
  readonly fileBytes?: number;
}

export interface StackLayer extends LayerSource {
  readonly chainId: Digest;
  /** Resolves when the file is whole; it is not asked for where the snapshot is there. */
  readonly arrival?: Promise<unknown>;
}

export type LayerState = "waiting" | "unpacking" | "exists" | "done";

export interface StackOptions {
  readonly signal?: AbortSignal | undefined;
  readonly parent?: SpanContext | undefined;
  readonly onState?: (index: number, state: LayerState) => void;
}

export class LayerStore {
  readonly #slots = new Slots(Math.max(2, availableParallelism()));
  readonly #underway = new Map<string, Promise<unknown>>();

  constructor(private readonly kernel: Kernel) {}

  /** The hashes of a layer file, from one reading. */
  async hash(source: LayerSource, options: StackOptions = {}): Promise<LayerHashes> {
    const plan = [operation("hashFile", { path: source.path, inflate: 1 }, { cause: "layer" })];
    const { outputs } = await this.#slots.run(() => this.kernel.run(plan, options));
    const bytes = outputs.get(0)!;
    return verified(source, {
      digest: digestOfHash(bytes.subarray(0, 32)),
      blobBytes: Number(bytes.readBigUInt64LE(32)),
      diffId: digestOfHash(bytes.subarray(40, 72)),
      plainBytes: Number(bytes.readBigUInt64LE(72)),
    });
  }

  /**
   * Makes the snapshots of a stack that are missing, base first in `layers`. Answers the hashes of the layers that were
   * unpacked now; undefined for those whose snapshot was there.
   */
  async unpackStack(
    at: { readonly snapshotter: Snapshotter; readonly namespace: string },
    layers: readonly StackLayer[],
    options: StackOptions = {},
  ): Promise<(LayerHashes | undefined)[]> {
    const { snapshotter, namespace } = at;
    const key = [snapshotter.name, namespace, layers.at(-1)?.chainId ?? ""].join("\0");
    const earlier = this.#underway.get(key);
    if (earlier) await earlier.catch(() => undefined);
    const work = snapshotter.independentLayers
      ? this.#inParallel(at, layers, options)
      : this.#inOrder(at, layers, options);
    this.#underway.set(key, work);
    try {
      return await work;
    } finally {
      if (this.#underway.get(key) === work) this.#underway.delete(key);
    }
  }

  async #inParallel(
    at: Place,
    layers: readonly StackLayer[],
    options: StackOptions,
  ): Promise<(LayerHashes | undefined)[]> {
    const unpacking = layers.map((layer, i) => this.#unpackOne(at, { layer, parent: "" }, observe(options, i)));
    const unpacked = await Promise.allSettled(unpacking);
    const failed = unpacked.find((result) => result.status === "rejected");
    if (failed) {
      await Promise.all(
        unpacked.map((result) => (result.status === "fulfilled" ? discard(at, result.value) : undefined)),
      );
      throw failed.reason;
    }
    const done = unpacked.map((result) => (result as PromiseFulfilledResult<Unpacked>).value);
    await this.#stack(at, layers, done);
    return done.map((one) => one.hashes);
  }

  async #stack(at: Place, layers: readonly StackLayer[], unpacked: readonly Unpacked[]): Promise<void> {
    let next = 0;
    try {
      for (; next < layers.length; next += 1) {
        await settle(at, { layer: layers[next]!, parent: layers[next - 1]?.chainId ?? "" }, unpacked[next]!);
      }
    } catch (error) {
      for (const left of unpacked.slice(next)) await discard(at, left);
      throw error;
    }
  }

  async #inOrder(
    at: Place,
    layers: readonly StackLayer[],
    options: StackOptions,
  ): Promise<(LayerHashes | undefined)[]> {
    const hashes: (LayerHashes | undefined)[] = [];
    for (const [i, layer] of layers.entries()) {
      const parent = layers[i - 1]?.chainId ?? "";
      const unpacked = await this.#unpackOne(at, { layer, parent }, observe(options, i));
      await settle(at, { layer, parent }, unpacked);
      hashes.push(unpacked.hashes);
    }
    return hashes;
  }

  async #unpackOne(at: Place, { layer, parent }: Step, options: OneOptions): Promise<Unpacked> {
    const { snapshotter, namespace } = at;
    if (exists(at, layer.chainId)) {
      options.onState("exists");
      return { key: "", hashes: undefined };
    }
    await layer.arrival;
    options.onState("waiting");
    return this.#slots.run(async () => {
      options.onState("unpacking");
      const key = `extract-${randomBytes(8).toString("hex")} ${layer.chainId}`;
      await snapshotter.prepare(namespace, { key, parent, labels: { [TRANSIENT]: "" } });
      try {
        const hashes = await this.#apply(layer, snapshotter.paths(namespace, key).layer, snapshotter, options);
        options.onState("done");
        return { key, hashes };
      } catch (error) {
        await discard(at, { key, hashes: undefined });
        throw during(`unpack layer ${layer.diffId ?? layer.digest ?? layer.path}`, error);
      }
    });
  }

  async #apply(
    layer: LayerSource,
    directory: string,
    snapshotter: Snapshotter,
    options: OneOptions,
  ): Promise<LayerHashes> {
    const format = snapshotter.independentLayers ? 0 : 1;
    const plan = [operation("applyLayer", { format, blob: layer.path, directory }, { cause: "layer" })];
    const bytes = (await this.kernel.run(plan, options)).outputs.get(0)!;
    return verified(layer, {
      digest: digestOfHash(bytes.subarray(0, 32)),
      diffId: digestOfHash(bytes.subarray(32, 64)),
      plainBytes: Number(bytes.readBigUInt64LE(64)),
      fileBytes: Number(bytes.readBigUInt64LE(80)),
      blobBytes: Number(bytes.readBigUInt64LE(72)),
    });
  }
}

interface Place {
  readonly snapshotter: Snapshotter;
  readonly namespace: string;
}

interface Step {
  readonly layer: StackLayer;
  readonly parent: string;
}

interface Unpacked {
  /** Key of the active snapshot; empty: there already. */
  readonly key: string;
  readonly hashes: LayerHashes | undefined;
}

interface OneOptions extends Pick<StackOptions, "signal" | "parent"> {
  readonly onState: (state: LayerState) => void;
}

const observe = (options: StackOptions, index: number): OneOptions => ({
  ...options,
  onState: (state) => options.onState?.(index, state),
});

function exists({ snapshotter, namespace }: Place, name: string): boolean {
  try {
    return snapshotter.stat(namespace, name).kind === "committed";
  } catch (error) {
    if (codeOf(error) === "not-found") return false;
    throw error;
  }
}

/** Gives an unpacked layer its name; another unpacking of the same stack may have been first. */
async function settle(at: Place, { layer, parent }: Step, unpacked: Unpacked): Promise<void> {
  if (unpacked.key === "") return;
  if (exists(at, layer.chainId)) return discard(at, unpacked);
  const labels = unpacked.hashes ? layerLabels(unpacked.hashes) : {};
  await at.snapshotter.commit(at.namespace, { name: layer.chainId, key: unpacked.key, parent, labels });
}

async function discard({ snapshotter, namespace }: Place, unpacked: Unpacked): Promise<void> {
  if (unpacked.key !== "") await snapshotter.remove(namespace, unpacked.key);
}

function verified(source: LayerSource, hashes: LayerHashes): LayerHashes {
  if (source.digest !== undefined && source.digest !== hashes.digest) {
    throw new HullError("invalid-argument", `layer has digest ${hashes.digest}, expected ${source.digest}`);
  }
  if (source.diffId !== undefined && source.diffId !== hashes.diffId) {
    throw new HullError("invalid-argument", `layer has diffID ${hashes.diffId}, expected ${source.diffId}`);
  }
  return hashes;
}
