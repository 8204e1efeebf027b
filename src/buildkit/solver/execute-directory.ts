/** WORKDIR: a directory that is there makes no layer. */
import { HullError } from "../../platform/errors.ts";
import type { FileEntry } from "../files/entry.ts";
import type { DirectoryVertex } from "../graph/vertex.ts";
import { ownerIn } from "./account-files.ts";
import type { LayerStack } from "./ports.ts";
import { makeLayer, type StepWork } from "./work.ts";

const MODE = 0o755;

export async function executeDirectory(vertex: DirectoryVertex, base: LayerStack, work: StepWork): Promise<LayerStack> {
  using _slot = await work.slot("transfer", 1);
  const { files, layers } = work.world;
  const { signal } = work.job;
  const directories = await layers.directories(base);
  const { path, kind } = await files.resolve(directories, vertex.path, signal);
  if (kind === "directory" || path === "") return base;
  if (kind !== "missing") throw new HullError("invalid-argument", `mkdir ${vertex.path}: not a directory`);
  const owner = (await ownerIn(files, directories, vertex.owner)) ?? { uid: 0, gid: 0 };
  const entry: FileEntry = {
    ...{ path, ...owner, kind: "directory", mode: MODE, size: 0, sha256: "", linkTarget: "", hardLinkTo: "" },
    ...{ mtimeNs: BigInt(Date.now()) * 1_000_000n, deviceMajor: 0, deviceMinor: 0, xattrs: [] },
  };
  return await makeLayer(work, base, (layer) =>
    files.place(
      layer,
      { entries: [entry], source: { kind: "layers", directories: [] } },
      [{ path, entry, sourcePath: path }],
      { parentOwner: owner, signal },
    ),
  );
}
