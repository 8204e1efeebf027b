/** A world in memory for tests of the solver: layers are maps of files, commands are few words. Every call of a port can be made to fail. */
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HullError } from "../../platform/errors.ts";
import { comparePaths, type FileEntry, type FileTree } from "../files/entry.ts";
import { file } from "../files/tree-harness.ts";
import type { Files, Holds, LayerStack, Layers, OpenLayer, Runner } from "./ports.ts";

type Contents = Map<string, FileEntry>;
interface Snapshot {
  readonly stack: LayerStack;
  readonly parent: string;
  readonly files: Contents;
}

const sha256 = (text: string): string => `sha256:${createHash("sha256").update(text).digest("hex")}`;
const inOrder = (files: Contents): readonly FileEntry[] =>
  [...files.values()].sort((a, b) => comparePaths(a.path, b.path));

export class MemoryWorld implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "solver-"));
  readonly snapshots = new Map<string, Snapshot>();
  readonly held = new Set<string>();
  /** Commands that began, in order. */
  readonly ran: string[] = [];
  /** Open layers. */
  readonly open = new Set<OpenLayer>();
  readonly #upper = new WeakMap<OpenLayer, Contents>();
  /** Commands that wait: "wait NAME". */
  readonly gates = new Map<string, PromiseWithResolvers<void>>();
  /** Called before everything that a port does. */
  onCall: (name: string) => void = () => undefined;
  #serial = 0;

  gate(name: string): PromiseWithResolvers<void> {
    const known = this.gates.get(name) ?? Promise.withResolvers<void>();
    this.gates.set(name, known);
    return known;
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true });
  }

  async #call(name: string, signal?: AbortSignal): Promise<void> {
    await undefined;
    signal?.throwIfAborted();
    this.onCall(name);
  }

  #merged(directories: readonly string[]): Contents {
    const merged: Contents = new Map();
    for (const chainId of directories.toReversed())
      for (const [path, entry] of this.snapshots.get(chainId)!.files) merged.set(path, entry);
    return merged;
  }

  #directories({ chainId }: LayerStack): readonly string[] {
    const found: string[] = [];
    for (let at = chainId; at !== ""; at = this.snapshots.get(at)!.parent) found.push(at);
    return found;
  }

  /** A base image, or what else is there before. */
  addLayer(base: LayerStack, files: Contents, unpackedBytes = 1000): LayerStack {
    const diffId = sha256(
      JSON.stringify(inOrder(files), (_, value) => (typeof value === "bigint" ? `${value}` : value)),
    );
    const chainId = base.chainId === "" ? diffId : sha256(`${base.chainId} ${diffId}`);
    const layer = { diffId, tarBytes: unpackedBytes, unpackedBytes, empty: files.size === 0 };
    const stack = { chainId, layers: [...base.layers, layer] };
    this.snapshots.set(chainId, { stack, parent: base.chainId, files });
    return stack;
  }

  filesOf(stack: LayerStack): readonly FileEntry[] {
    return inOrder(this.#merged(this.#directories(stack)));
  }

  readonly layers: Layers = {
    prepare: async (base, signal) => {
      await this.#call("prepare", signal);
      const files: Contents = new Map();
      const layer: OpenLayer = {
        ...{ key: `layer${this.#serial++}`, base, upper: "", work: "", lowers: this.#directories(base) },
        commit: async (wanted) => {
          await this.#call("commit", wanted);
          if (!this.open.has(layer)) throw new Error("a layer that was given up is committed");
          const stack = this.addLayer(base, files);
          // Whatever throws now does so when the snapshot is there already.
          await this.#call("committed");
          return stack;
        },
        [Symbol.asyncDispose]: async () => {
          this.open.delete(layer);
        },
      };
      this.open.add(layer);
      this.#upper.set(layer, files);
      return layer;
    },
    find: async (chainId) => {
      await this.#call("find");
      return this.snapshots.get(chainId)?.stack;
    },
    directories: async (stack) => this.#directories(stack),
    stack: async (base, layer, signal) => {
      await this.#call("stack", signal);
      return this.addLayer(base, this.snapshots.get(layer.chainId)!.files);
    },
  };

  readonly files: Files = {
    place: async (layer, _source, placements, { signal }) => {
      await this.#call("place", signal);
      if (!this.open.has(layer)) throw new Error("a layer that was given up is written");
      for (const { path, entry } of placements) this.#upper.get(layer)!.set(path, { ...entry, path });
    },
    unpack: async () => {
      throw new HullError("unimplemented", "no archives here");
    },
    index: async (directories, _path, signal): Promise<FileTree> => {
      await this.#call("index", signal);
      const source = { kind: "layers", directories } as const;
      return { entries: inOrder(this.#merged(directories)), source };
    },
    hashAfter: async (_source, all, signal) => {
      await this.#call("hashAfter", signal);
      return all.map(({ header, sha256: bytes }) => sha256(`${header.toString("base64")} ${bytes}`).slice(7));
    },
    resolve: async (directories, path, signal) => {
      await this.#call("resolve", signal);
      const clean = path.replace(/^\/+|\/+$/g, "");
      const kind = clean === "" ? "directory" : (this.#merged(directories).get(clean)?.kind ?? "missing");
      return { path: clean, kind };
    },
    read: async () => undefined,
  };

  readonly holds: Holds = {
    hold: async (chainId) => {
      await this.#call("hold");
      this.held.add(chainId);
    },
    release: async (chainId) => {
      await this.#call("release");
      this.held.delete(chainId);
    },
    list: async () => [...this.held],
  };

  /** Commands: "write PATH TEXT", "unique PATH", "say TEXT", "wait GATE", "secret ID PATH", "exit CODE", joined by ";". */
  readonly runner: Runner = {
    run: async (layer, { argv }, { onOutput, secrets, signal }) => {
      await this.#call("run", signal);
      this.ran.push(argv.at(-1)!);
      const files = this.#upper.get(layer)!;
      const put = (path: string, bytes: string) => files.set(path, file(path, { bytes }));
      for (const command of argv.at(-1)!.split(";")) {
        const [verb, first = "", ...rest] = command.trim().split(" ");
        if (verb === "write") put(first, rest.join(" "));
        if (verb === "unique") put(first, `${Math.random()}`);
        if (verb === "say") await onOutput(1, Buffer.from([first, ...rest].join(" ")));
        if (verb === "secret") put(rest[0]!, `${(await secrets.secret(first, signal)) ?? "none"}`);
        if (verb === "wait") await this.#wait(first, signal);
        if (verb === "exit") return { exitCode: Number(first), outOfMemory: false };
      }
      return { exitCode: 0, outOfMemory: false };
    },
  };

  async #wait(name: string, signal: AbortSignal): Promise<void> {
    const aborted = Promise.withResolvers<never>();
    const abort = (): void => aborted.reject(signal.reason);
    signal.addEventListener("abort", abort);
    if (signal.aborted) abort();
    await Promise.race([this.gate(name).promise, aborted.promise]);
  }
}
