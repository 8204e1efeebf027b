/** Owners of --chown and USER, whose names the base's own files know. */
import { needsAccountFiles, type OwnerIds, resolveOwner } from "../files/owner.ts";
import type { Owner } from "../graph/vertex.ts";
import type { Files } from "./ports.ts";

const MAX_BYTES = 16 * 1024 * 1024;

/** Undefined for an owner that is not given. */
export async function ownerIn(
  files: Pick<Files, "read">,
  directories: readonly string[],
  owner: Owner,
): Promise<OwnerIds | undefined> {
  if (owner === undefined || owner === "") return undefined;
  if (!needsAccountFiles(owner)) return resolveOwner(owner, { passwd: "", group: "" });
  const read = async (path: string): Promise<string> =>
    (await files.read(directories, path, MAX_BYTES))?.toString() ?? "";
  return resolveOwner(owner, { passwd: await read("/etc/passwd"), group: await read("/etc/group") });
}
