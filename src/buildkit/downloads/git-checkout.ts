/** A commit's files as an archive: checked out below a directory of this work alone, submodules too, with the time of the commit. */
import { execFile } from "node:child_process";
import { lstat, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { HullError, messageOf } from "../../platform/errors.ts";
import type { Git, GitSource } from "./git-downloads.ts";

export interface CheckoutRequest {
  /** Ours alone; the files are made in `tree` below it. */
  readonly directory: string;
  /** A bare repository that has the commit. */
  readonly repository: string;
  readonly url: string;
  readonly commit: string;
  /** What it was found by: "refs/heads/main"; "" for the commit itself. */
  readonly name: string;
  readonly source: GitSource;
  /** A new file: a tar. */
  readonly archive: string;
  readonly signal: AbortSignal;
}

export async function checkOut(git: Git, request: CheckoutRequest): Promise<void> {
  const { directory, repository, url, commit, name, source, archive, signal } = request;
  const tree = join(directory, "tree");
  const inside = (reach: "remotes" | "local", ...args: string[]) => git({ args, cwd: tree, reach });
  await git({ args: ["init", "--quiet", "--template=", tree], reach: "local" });
  await inside("local", "remote", "add", "origin", url);
  const fetch = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--depth=1"];
  await inside("local", ...fetch, "--", repository, `refs/hull/${commit}:refs/remotes/origin/fetched`);
  await inside("local", "checkout", "--quiet", "--detach", commit);
  await inside("local", "update-ref", "-d", "refs/remotes/origin/fetched");
  if (/^refs\/(?:heads|tags)\/./.test(name)) await inside("local", "update-ref", name, commit);
  if (source.submodules && (await lstatIfThere(join(tree, ".gitmodules")))?.isFile())
    await inside("remotes", "submodule", "--quiet", "update", "--init", "--recursive", "--force", "--depth=1");
  const time = (await inside("local", "show", "--no-patch", "--format=%ct", commit)).trim();
  if (!source.keepGitDirectory) await rm(join(tree, ".git"), { recursive: true });
  const root = await subdirectoryOf(tree, source);
  await pack({ root, archive, time, signal, keepsGit: source.keepGitDirectory });
}

async function lstatIfThere(path: string) {
  try {
    return await lstat(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** A path of directories, without links: whoever wrote the repository made them. */
async function subdirectoryOf(tree: string, { subdirectory, keepGitDirectory }: GitSource): Promise<string> {
  const bad = (why: string): HullError =>
    new HullError("invalid-argument", `the repository's subdirectory ${JSON.stringify(subdirectory)} ${why}`, {
      facts: { token: subdirectory },
    });
  let path = tree;
  for (const part of subdirectory.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === ".." || (part === ".git" && keepGitDirectory)) throw bad(`has ${part} in it, which is refused`);
    path = join(path, part);
    const found = await lstatIfThere(path);
    if (!found) throw bad("is not there");
    if (found.isSymbolicLink()) throw bad(`leads through the link ${part}: name the directory itself`);
    if (!found.isDirectory()) throw bad("is not a directory");
  }
  return path;
}

interface Packing {
  readonly root: string;
  readonly archive: string;
  /** Seconds since the epoch. */
  readonly time: string;
  readonly keepsGit: boolean;
  readonly signal: AbortSignal;
}

/** No file of a repository may be called ".git": what is, git has made. */
async function pack({ root, archive, time, keepsGit, signal }: Packing): Promise<void> {
  const owner = ["--owner=0", "--group=0", "--numeric-owner"];
  const order = ["--format=gnu", "--sort=name", `--mtime=@${time}`];
  const left = keepsGit ? [] : ["--exclude=.git"];
  try {
    await promisify(execFile)("tar", ["-c", "-f", archive, ...order, ...owner, ...left, "-C", root, "."], { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw new HullError("internal", `pack a checkout: ${messageOf(error)}`, { cause: error });
  }
}
