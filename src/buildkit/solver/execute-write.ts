/** Files whose bytes the Dockerfile has (here-documents of COPY and ADD). */
import { createHash, randomBytes } from "node:crypto";
import { chmod, chown, mkdir, rm, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { parseChmod } from "../files/chmod.ts";
import type { FileEntry } from "../files/entry.ts";
import { objectName } from "../files/object-name.ts";
import type { OwnerIds } from "../files/owner.ts";
import { comparePaths } from "../files/path-text.ts";
import type { WriteVertex } from "../graph/vertex.ts";
import { ownerIn } from "./account-files.ts";
import type { LayerStack, OpenLayer } from "./ports.ts";
import { makeLayer, type StepWork } from "./work.ts";

const DEFAULT_MODE = 0o644;
const NS_PER_S = 1_000_000_000n;

export async function executeWrite(vertex: WriteVertex, base: LayerStack, work: StepWork): Promise<LayerStack> {
  using _slot = await work.slot("transfer", 1);
  const store = join(work.world.scratchDirectory, `documents-${randomBytes(8).toString("hex")}`);
  try {
    return await makeLayer(work, base, (layer) => fill({ vertex, layer, store, work }));
  } finally {
    await rm(store, { recursive: true, force: true });
  }
}

interface Writing {
  readonly vertex: WriteVertex;
  readonly layer: OpenLayer;
  /** A store as that of contexts, for these files alone. */
  readonly store: string;
  readonly work: StepWork;
}

async function fill({ vertex, layer, store, work }: Writing): Promise<void> {
  const { files } = work.world;
  const { signal } = work.job;
  const owner = (await ownerIn(files, layer.lowers, vertex.owner)) ?? { uid: 0, gid: 0 };
  const mode = vertex.chmod === undefined ? DEFAULT_MODE : parseChmod(vertex.chmod)(DEFAULT_MODE, false);
  // Whole seconds: what the file system keeps is what the entry says.
  const mtimeNs = BigInt(Math.floor(Date.now() / 1000)) * NS_PER_S;
  const placed = new Map<string, FileEntry>();
  for (const { path, name, data } of vertex.files) {
    const found = await files.resolve(layer.lowers, path, signal);
    const inside = found.kind === "directory" ? join(path, name) : path;
    const resolved = inside === path ? found : await files.resolve(layer.lowers, inside, signal);
    const entry = documentEntry(resolved.path, data, { ...owner, mode, mtimeNs });
    await writeObject(store, entry, data);
    placed.set(entry.path, entry);
  }
  const entries = [...placed.values()].sort((a, b) => comparePaths(a.path, b.path));
  await files.place(
    layer,
    { entries, source: { kind: "store", directory: store } },
    entries.map((entry) => ({ path: entry.path, entry, sourcePath: entry.path })),
    { parentOwner: owner, signal },
  );
}

function documentEntry(
  path: string,
  data: string,
  attributes: OwnerIds & Pick<FileEntry, "mode" | "mtimeNs">,
): FileEntry {
  return {
    ...attributes,
    path,
    kind: "file",
    size: Buffer.byteLength(data),
    sha256: createHash("sha256").update(data).digest("hex"),
    linkTarget: "",
    hardLinkTo: "",
    deviceMajor: 0,
    deviceMinor: 0,
    xattrs: [],
  };
}

/** With the attributes that its name says. */
async function writeObject(store: string, entry: FileEntry, data: string): Promise<void> {
  const name = objectName(entry);
  const path = join(store, name.slice(0, 2), name);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeFile(path, data);
  await chown(path, entry.uid, entry.gid);
  await chmod(path, entry.mode);
  const seconds = Number(entry.mtimeNs / NS_PER_S);
  await utimes(path, seconds, seconds);
}
