/**
 * Paths inside a container's root file system, resolved as the container would see them: links never lead out. Only for trees that
 * nothing changes meanwhile (a container that does not run); what runs is reached through keel.
 */
import { lstat, readlink } from "node:fs/promises";

const MAX_LINKS = 40;

/** The host path of `path` inside `root`, its missing tail kept as it is; undefined when links turn in a circle. */
export async function resolveInRoot(root: string, path: string): Promise<string | undefined> {
  const done: string[] = [];
  let links = 0;
  const todo = path.split("/").filter((part) => part !== "" && part !== ".");
  while (todo.length > 0) {
    const part = todo.shift()!;
    if (part === "..") {
      done.pop();
      continue;
    }
    const target = await linkTarget(`${root}/${[...done, part].join("/")}`);
    if (target === undefined) {
      done.push(part);
      continue;
    }
    if (++links > MAX_LINKS) return undefined;
    if (target.startsWith("/")) done.length = 0;
    todo.unshift(...target.split("/").filter((piece) => piece !== "" && piece !== "."));
  }
  return done.length === 0 ? root : `${root}/${done.join("/")}`;
}

async function linkTarget(path: string): Promise<string | undefined> {
  try {
    return (await lstat(path)).isSymbolicLink() ? await readlink(path) : undefined;
  } catch {
    return undefined; // Absent: nothing to follow.
  }
}
