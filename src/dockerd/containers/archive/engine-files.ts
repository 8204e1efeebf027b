/** Places in a container's root that the engine makes to mount on: they are no changes of the container's. Pure. */
import { mountPoints } from "../../../oci/mount-points.ts";

interface Change {
  readonly kind: string;
  readonly path: string;
}

/** Without added engine files, and without directories that changed for nothing else. `changes` is sorted by path. */
export function withoutEngineFiles<T extends Change>(changes: readonly T[]): T[] {
  const isMade = ({ kind, path }: Change): boolean => kind === "A" && mountPoints.has(path);
  const parents = new Set(changes.filter(isMade).map(({ path }) => path.slice(0, path.lastIndexOf("/"))));
  const rest = changes.filter((change) => !isMade(change));
  return rest.filter(({ kind, path }) => {
    const onlyHeldOurs = parents.has(path) && (kind === "C" || kind === "A");
    return !onlyHeldOurs || rest.some((other) => other.path.startsWith(`${path}/`));
  });
}
