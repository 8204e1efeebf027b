/** COPY and ADD: what was selected goes to where the destination leads in the base; ADD's archives are unpacked there. */
import type { FileTree } from "../files/entry.ts";
import type { OwnerIds } from "../files/owner.ts";
import { parentOwner, placeSelection } from "../files/place.ts";
import type { SelectedSource } from "../files/select.ts";
import type { CopyVertex } from "../graph/vertex.ts";
import { ownerIn } from "./account-files.ts";
import { isArchive } from "./archive.ts";
import { bytesOf, type CopySource, instructionOf, isForeign } from "./copy-selection.ts";
import type { LayerStack, OpenLayer } from "./ports.ts";
import { makeLayer, type StepWork } from "./work.ts";

const ROOT: OwnerIds = { uid: 0, gid: 0 };

export async function executeCopy(
  vertex: CopyVertex,
  { base, source }: { readonly base: LayerStack; readonly source: CopySource },
  work: StepWork,
): Promise<LayerStack> {
  using _slot = await work.slot("transfer", Math.max(1, bytesOf(source.selection)));
  return await makeLayer(work, base, (layer) => fill({ vertex, source, layer, work }));
}

interface Copying {
  readonly vertex: CopyVertex;
  readonly source: CopySource;
  readonly layer: OpenLayer;
  readonly work: StepWork;
}

async function fill({ vertex, source, layer, work }: Copying): Promise<void> {
  const { files } = work.world;
  const { signal } = work.job;
  const given = await ownerIn(files, layer.lowers, vertex.owner);
  const destination = {
    text: vertex.destination,
    resolved: await files.resolve(layer.lowers, vertex.destination, signal),
    owner: given ?? (isForeign(vertex) ? ROOT : undefined),
    chmod: vertex.chmod,
    instruction: instructionOf(vertex),
    dialect: vertex.dialect,
  };
  const { archives, others } = await split(vertex, source);
  if (others.length > 0 || archives.length === 0) {
    const selection = { sources: others };
    const placements = placeSelection(selection, destination);
    await files.place(layer, source.tree, placements, { parentOwner: parentOwner(selection, destination), signal });
  }
  // dockerd's own builder leaves the owners of what it unpacks as they are.
  const owner = vertex.dialect === "classic" ? undefined : given;
  for (const { entry } of archives) {
    const request = { sourcePath: entry.path, directory: destination.resolved.path, owner, signal };
    await files.unpack(layer, source.tree, request);
  }
}

/** ADD unpacks local archives, and others when it is told to. */
async function split(
  { unpack, from }: CopyVertex,
  { tree, selection }: CopySource,
): Promise<{ readonly archives: readonly SelectedSource[]; readonly others: readonly SelectedSource[] }> {
  const isWanted = unpack === "always" || (unpack === "auto" && from.kind === "context");
  const archives: SelectedSource[] = [];
  const others: SelectedSource[] = [];
  for (const source of selection.sources) {
    const isPacked = isWanted && source.entry.kind === "file" && (await packed(tree, source));
    (isPacked ? archives : others).push(source);
  }
  return { archives, others };
}

const packed = (tree: FileTree, { entry }: SelectedSource): Promise<boolean> => isArchive(tree, entry);
