/** File work below a layer's root, done by processes of keel; several directories are looked at through a mount that keel makes. */
import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, rmdirSync } from "node:fs";
import { open, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { operation } from "../../keel/plan.ts";
import type { KeelServe } from "../../keel/serve.ts";
import { HullError } from "../../platform/errors.ts";
import { keelPath } from "../../platform/paths.ts";
import type { FileEntry, FileTree } from "../files/entry.ts";
import { objectName } from "../files/object-name.ts";
import type { OwnerIds } from "../files/owner.ts";
import { decodeIndex } from "../files/tree-index.ts";
import type { HeaderAndFile } from "../graph/classic-hash.ts";
import { mergedView } from "../run/merged-view.ts";
import type { Files, OpenLayer, Placement, ResolvedPath } from "../solver/ports.ts";
import { applyArchive } from "./apply-archive.ts";
import { type HashingText, hashesOf } from "./hash-process.ts";
import { failureIn, outcomeOf, spawnGroup } from "./keel-process.ts";
import { readIn, resolveIn } from "./paths-in-root.ts";
import { encodePlacements } from "./placement-list.ts";

export interface KeelFilesOptions {
  readonly keel: Pick<KeelServe, "run">;
  /** Directory for mount points and lists: below the exec root. */
  readonly scratch: string;
}

type PlaceOptions = Parameters<Files["place"]>[3];
type UnpackRequest = Parameters<Files["unpack"]>[2];

const MNT_DETACH = 2;
const ROOT: OwnerIds = { uid: 0, gid: 0 };

/** keel's codes for what a Dockerfile asks for and cannot be. */
const refusals: ReadonlySet<string> = new Set([
  "is-a-directory",
  "not-a-directory",
  "invalid-argument",
  "name-too-long",
]);

export class KeelFiles implements Files {
  constructor(private readonly options: KeelFilesOptions) {
    mkdirSync(options.scratch, { recursive: true, mode: 0o700 });
  }

  /** Ends what a builder that was killed looked at. What is mounted is never removed by its path. */
  async recover(): Promise<void> {
    for (const entry of readdirSync(this.options.scratch, { withFileTypes: true })) {
      const path = join(this.options.scratch, entry.name);
      if (!entry.isDirectory()) {
        await rm(path, { force: true });
        continue;
      }
      const unmount = operation(
        "umount",
        { target: path, flags: MNT_DETACH },
        { tolerate: ["EINVAL"], cause: "files of a builder that was killed" },
      );
      await this.options.keel.run([unmount]);
      rmdirSync(path);
    }
  }

  async place(
    layer: OpenLayer,
    source: FileTree,
    placements: readonly Placement[],
    options: PlaceOptions,
  ): Promise<void> {
    if (placements.length === 0) return;
    const { signal, parentOwner } = options;
    const store = source.source.kind === "store" ? source.source.directory : undefined;
    await using list = this.#file();
    await writeFile(list.path, encodePlacements(source, placements), { mode: 0o600 });
    await using lower = layer.lowers.length > 0 ? await this.#view(layer.lowers) : undefined;
    await using from = source.source.kind === "layers" ? await this.#view(source.source.directories) : undefined;
    const args = ["place", "--upper", layer.upper, "--owner", `${parentOwner.uid}:${parentOwner.gid}`];
    if (lower) args.push("--lower", lower.path);
    if (store !== undefined) args.push("--store", store);
    if (from) args.push("--source", from.path);
    await using input = await open(list.path);
    await this.#keel(args, input.fd, signal);
  }

  async unpack(layer: OpenLayer, source: FileTree, request: UnpackRequest): Promise<void> {
    const { sourcePath, directory, owner, signal } = request;
    const entry = source.entries.find(({ path }) => path === sourcePath);
    if (entry === undefined) throw new HullError("not-found", `${sourcePath}: not in the context`);
    await this.#makeDirectory(layer, directory, { owner: owner ?? ROOT, signal });
    await using from = source.source.kind === "layers" ? await this.#view(source.source.directories) : undefined;
    const name = objectName(entry);
    const archive =
      source.source.kind === "store"
        ? join(source.source.directory, name.slice(0, 2), name)
        : join(from?.path ?? "", sourcePath);
    await using view = await this.#view(layer.lowers, layer);
    await applyArchive(archive, { place: ["--root", view.path, "--path", `/${directory}`], owner, signal });
  }

  /** Where the layer's base does not have it. */
  async #makeDirectory(
    layer: OpenLayer,
    path: string,
    { owner, signal }: { readonly owner: OwnerIds; readonly signal: AbortSignal },
  ): Promise<void> {
    const found = await this.resolve(layer.lowers, path, signal);
    if (found.kind === "directory" || path === "") return;
    if (found.kind !== "missing") throw new HullError("invalid-argument", `/${path}: not a directory`);
    const entry = { ...madeDirectory, ...owner, path, mtimeNs: BigInt(Date.now()) * 1_000_000n };
    const nothing: FileTree = { entries: [], source: { kind: "layers", directories: [] } };
    await this.place(layer, nothing, [{ path, entry, sourcePath: path }], { parentOwner: owner, signal });
  }

  async index(directories: readonly string[], path: string, signal: AbortSignal): Promise<FileTree> {
    await using view = await this.#view(directories);
    const root = await resolveIn(view.path, path);
    if (root.kind !== "directory") throw new HullError("not-found", `${path}: no such directory`);
    await using list = this.#file();
    await this.#keel(["index", "--root", view.path, "--path", root.path, "--index", list.path], "ignore", signal);
    return { entries: await entriesIn(list.path), source: { kind: "layers", directories } };
  }

  async hashAfter(source: FileTree, all: readonly HeaderAndFile[], signal: AbortSignal): Promise<readonly string[]> {
    if (all.length === 0) return [];
    await using list = this.#file();
    await using view = source.source.kind === "layers" ? await this.#view(source.source.directories) : undefined;
    const fileOf = placeOfFiles(source, view?.path ?? "");
    const texts = all.map(({ header, path }) => ({ header: header.toString("base64"), file: path && fileOf(path) }));
    await writeFile(list.path, JSON.stringify(texts satisfies HashingText[]), { mode: 0o600 });
    return await hashesOf(list.path, signal);
  }

  async resolve(directories: readonly string[], path: string, signal: AbortSignal): Promise<ResolvedPath> {
    await using view = await this.#view(directories);
    signal.throwIfAborted();
    return await resolveIn(view.path, path);
  }

  async read(directories: readonly string[], path: string, maxBytes: number): Promise<Buffer | undefined> {
    await using view = await this.#view(directories);
    return await readIn(view.path, path, maxBytes);
  }

  /** Throws keel's words. */
  async #keel(args: readonly string[], input: number | "ignore", signal: AbortSignal): Promise<void> {
    const { code, said } = await outcomeOf(spawnGroup(keelPath(), args, [input, "ignore", "pipe"]), signal);
    if (code === 0) return;
    const failure = failureIn(said);
    throw new HullError(refusals.has(failure.code) ? "invalid-argument" : "internal", failure.message);
  }

  /** What is seen in a stack of directories, top first. */
  view(directories: readonly string[]): Promise<AsyncDisposable & { readonly path: string }> {
    return this.#view(directories);
  }

  /** Everything below a directory that is no link; files without their hashes, unless they are wanted. */
  async list(root: string, signal: AbortSignal, hashed = false): Promise<FileEntry[]> {
    await using list = this.#file();
    const args = ["index", "--root", root, "--path", "/", "--index", list.path];
    await this.#keel(hashed ? args : [...args, "--unread"], "ignore", signal);
    return entriesIn(list.path);
  }

  /** An empty directory for no directories. With a layer, what is written goes to it. */
  async #view(
    directories: readonly string[],
    writable?: Pick<OpenLayer, "upper" | "work">,
  ): Promise<AsyncDisposable & { readonly path: string }> {
    const { keel, scratch } = this.options;
    const at = join(scratch, `view-${randomBytes(6).toString("hex")}`);
    mkdirSync(at, { mode: 0o700 });
    const { path, operations } =
      directories.length === 0 && !writable
        ? { path: at, operations: [] }
        : mergedView({ at, directories, cause: "files", ...(writable && { writable }) });
    await keel.run(operations);
    return {
      path,
      [Symbol.asyncDispose]: async () => {
        if (operations.length > 0)
          await keel.run([operation("umount", { target: at, flags: MNT_DETACH }, { cause: "files" })]);
        // overlayfs marks the work directory of a volatile mount, and would refuse another one on it.
        if (writable) await rm(join(writable.work, "work/incompat"), { recursive: true, force: true });
        rmdirSync(at);
      },
    };
  }

  #file(): AsyncDisposable & { readonly path: string } {
    const path = join(this.options.scratch, `list-${randomBytes(6).toString("hex")}`);
    return { path, [Symbol.asyncDispose]: () => rm(path, { force: true }) };
  }
}

/** Where a file of the tree has its bytes: by its object's name in a store, else below the view of its layers. */
function placeOfFiles({ entries, source }: FileTree, view: string): (path: string) => string {
  if (source.kind === "layers") return (path) => `${view}/${path}`;
  const byPath = new Map(entries.map((entry) => [entry.path, entry]));
  return (path) => {
    const name = objectName(byPath.get(path)!);
    return join(source.directory, name.slice(0, 2), name);
  };
}

const madeDirectory: Omit<FileEntry, "path" | "mtimeNs"> = {
  ...{ kind: "directory", mode: 0o755, uid: 0, gid: 0, size: 0, sha256: "", linkTarget: "", hardLinkTo: "" },
  ...{ deviceMajor: 0, deviceMinor: 0, xattrs: [] },
};

export const entriesIn = async (path: string): Promise<FileEntry[]> => decodeIndex(await readFile(path));
