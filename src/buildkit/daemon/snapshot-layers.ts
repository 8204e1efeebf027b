/**
 * Layers as hull-containerd's snapshots, made through containerd's own services. A layer's snapshot has the name of its chain; it leads collection to
 * the layer's blob. Whatever the build cache needs is held by one lease.
 */
import { randomBytes } from "node:crypto";
import { dirname, join } from "node:path";
import { type ContainerdClient, call } from "../../containerd/client.ts";
import { operation } from "../../keel/plan.ts";
import type { KeelServe } from "../../keel/serve.ts";
import { chainIds, type Digest, parseDigest } from "../../oci/digest.ts";
import { codeOf, HullError } from "../../platform/errors.ts";
import type { Holds, Layer, LayerStack, Layers, OpenLayer } from "../solver/ports.ts";

/** What the cache and builds in hand hold. */
export const LEASE = "hull-buildkitd";
const SNAPSHOTS = "snapshots/";
const ROOT = "containerd.io/gc.root";
const CLEANUP_MS = 10_000;

export class SnapshotLayers implements Layers, Holds {
  constructor(
    private readonly containerd: ContainerdClient,
    /** The snapshotter's own name, which the lease's resources carry. */
    private readonly snapshotter: string,
    private readonly keel: Pick<KeelServe, "run">,
  ) {}

  /** Takes back what a builder that was killed left in the making. */
  async recover(): Promise<void> {
    try {
      await this.containerd.leases.create({ id: LEASE, labels: {} }, call({}));
    } catch (error) {
      if (codeOf(error) !== "already-exists") throw error;
    }
    const left: string[] = [];
    const unheld: string[] = [];
    for await (const { info } of this.containerd.snapshots.list({ snapshotter: "" }, call({}))) {
      for (const { name, labels } of info) {
        if (name.startsWith("build-")) left.push(name);
        else if (labels[ROOT] === "build") unheld.push(name);
      }
    }
    await this.#letGoOfDocuments();
    for (const key of left) await this.#remove(key);
    for (const name of unheld) await this.#release(name);
  }

  /** Of images that were not named yet: whole ones, and halves. */
  async #letGoOfDocuments(): Promise<void> {
    const { statuses } = await this.containerd.content.listStatuses({}, call({}));
    for (const { ref } of statuses.filter(({ ref }) => ref.startsWith("build-")))
      await this.containerd.content.abort({ ref }, call({}));
    const { resources } = await this.containerd.leases.listResources({ id: LEASE }, call({}));
    for (const resource of resources.filter(({ type }) => type === "content"))
      await this.containerd.leases.deleteResource({ id: LEASE, resource }, call({}));
  }

  async prepare(base: LayerStack, signal: AbortSignal): Promise<OpenLayer> {
    const key = `build-${randomBytes(8).toString("hex")}`;
    const made = await this.containerd.rootfs.make(
      { key, parent: base.chainId, snapshotter: "", labels: { [ROOT]: "build" } },
      call({ signal }),
    );
    const { UpperDir, WorkDir, LowerDir } = made.data;
    if (UpperDir === undefined)
      throw new HullError(
        "unimplemented",
        `the ${made.driver} storage driver cannot build: it keeps no layers of their own`,
      );
    let open = true;
    return {
      key,
      base,
      upper: UpperDir,
      // A snapshot on nothing is a plain directory and needs none: nothing is mounted over it.
      work: WorkDir ?? join(dirname(UpperDir), "work"),
      lowers: directoriesIn(LowerDir),
      commit: async (commitSignal) => {
        const stack = await this.#commit(key, base, commitSignal);
        open = false;
        return stack;
      },
      [Symbol.asyncDispose]: async () => {
        if (open) await this.#remove(key);
        open = false;
      },
    };
  }

  async find(chainId: string): Promise<LayerStack | undefined> {
    try {
      const found = await this.containerd.imageStore.stack({ chainId, snapshotter: "" }, call({}));
      // A snapshot of neither a build nor an image: nothing of ours stands on it.
      if (found.layers.some(({ diffId }) => diffId === "")) return undefined;
      const layers = found.layers.map(({ diffId, tarBytes, unpackedBytes }) => ({
        diffId,
        tarBytes: Number(tarBytes),
        unpackedBytes: Number(unpackedBytes),
        empty: false,
      }));
      return { chainId, layers };
    } catch (error) {
      if (codeOf(error) === "not-found") return undefined;
      throw error;
    }
  }

  async directories({ chainId }: LayerStack): Promise<readonly string[]> {
    if (chainId === "") return [];
    const { data } = await this.containerd.rootfs.paths({ key: chainId, snapshotter: "" }, call({}));
    return [...(data.UpperDir === undefined ? [] : [data.UpperDir]), ...directoriesIn(data.LowerDir)];
  }

  async stack(base: LayerStack, layer: LayerStack, signal: AbortSignal): Promise<LayerStack> {
    const top = layer.layers.at(-1);
    if (top === undefined || top.empty) return base;
    const name = chainOf(base.chainId, parseDigest(top.diffId));
    if (await this.#keep(name)) return { chainId: name, layers: [...base.layers, top] };
    await using open = await this.prepare(base, signal);
    const [from = ""] = await this.directories(layer);
    await this.keel.run([operation("copyTree", { from, to: open.upper }, { cause: "COPY --link" })]);
    const stack = await open.commit(signal);
    const made = stack.layers.at(-1)?.diffId;
    if (made === top.diffId) return stack;
    throw new HullError("internal", `layer ${top.diffId} is ${made} as a copy: its files were changed`);
  }

  async hold(chainId: string): Promise<void> {
    await this.containerd.leases.addResource({ id: LEASE, resource: this.#resource(chainId) }, call({}));
    await this.#release(chainId);
  }

  async release(chainId: string): Promise<void> {
    await this.containerd.leases.deleteResource({ id: LEASE, resource: this.#resource(chainId) }, call({}));
  }

  async list(): Promise<readonly string[]> {
    const { resources } = await this.containerd.leases.listResources({ id: LEASE }, call({}));
    return resources.filter(({ type }) => type.startsWith(SNAPSHOTS)).map(({ id }) => id);
  }

  #resource(chainId: string): { readonly type: string; readonly id: string } {
    return { type: `${SNAPSHOTS}${this.snapshotter}`, id: chainId };
  }

  async #commit(key: string, base: LayerStack, signal: AbortSignal): Promise<LayerStack> {
    const made = await this.containerd.imageStore.commitLayer(
      { key, snapshotter: "", labels: { [ROOT]: "build" } },
      call({ signal }),
    );
    const layer: Layer = {
      diffId: made.diffId,
      tarBytes: Number(made.tarBytes),
      unpackedBytes: Number(made.unpackedBytes),
      empty: made.chainId === base.chainId,
    };
    return { chainId: made.chainId, layers: [...base.layers, layer] };
  }

  /** What holds it from now on is the lease. */
  async #release(name: string): Promise<void> {
    const info = await this.#stat(name);
    if (info === undefined || !(ROOT in info.labels)) return;
    const { [ROOT]: _, ...labels } = info.labels;
    await this.containerd.snapshots.update(
      { info: { name, labels }, updateMask: { paths: ["labels"] }, snapshotter: "" },
      call({}),
    );
  }

  /** As one that was just committed: until it is held by the lease. False: there is none. */
  async #keep(name: string): Promise<boolean> {
    const labels = { [ROOT]: "build" };
    try {
      await this.containerd.snapshots.update(
        { info: { name, labels }, updateMask: { paths: [`labels.${ROOT}`] }, snapshotter: "" },
        call({}),
      );
      return true;
    } catch (error) {
      if (codeOf(error) !== "not-found") throw error;
      return false;
    }
  }

  async #stat(name: string) {
    try {
      return (await this.containerd.snapshots.stat({ key: name, snapshotter: "" }, call({}))).info;
    } catch (error) {
      if (codeOf(error) === "not-found") return undefined;
      throw error;
    }
  }

  async #remove(key: string): Promise<void> {
    try {
      await this.containerd.snapshots.remove({ key, snapshotter: "" }, call({ timeoutMs: CLEANUP_MS }));
    } catch (error) {
      if (codeOf(error) !== "not-found") throw error;
    }
  }
}

const directoriesIn = (text: string | undefined): readonly string[] =>
  (text ?? "").split(":").filter((path) => path !== "");

const chainOf = (parent: string, diffId: Digest): Digest =>
  parent === "" ? diffId : chainIds([parent as Digest, diffId]).at(-1)!;
