/**
 * Checkouts of repositories. The commit is settled first, by asking the remote; then the commit alone is fetched into a bare repository that is kept per
 * remote, checked out, and taken into the store of contexts. What was checked out before is remembered by its commit.
 *
 * Below its directory: `repositories/<hash>` per remote, `trees/<hash>` lists of what checkouts had, `known_hosts`, `incoming-*` of work in hand.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { rm, utimes } from "node:fs/promises";
import { join } from "node:path";
import { codeOf, HullError, messageOf } from "../../platform/errors.ts";
import { FairLock } from "../../platform/fair-lock.ts";
import type { FileTree } from "../files/entry.ts";
import type { GitVertex } from "../graph/vertex.ts";
import type { Secrets } from "../solver/ports.ts";
import { checkOut } from "./git-checkout.ts";
import { type Advertised, checkCommit, chooseRef, isCommit, patternsFor } from "./git-commit.ts";
import { type GitCommand, GitFailure, type GitHome, prepareHome, runGit } from "./git-program.ts";
import { authorizationOf, type GitRemote, parseRemote } from "./git-remote.ts";
import type { GitTrees } from "./git-trees.ts";
import type { Proxies } from "./proxies.ts";
import { SharedWork } from "./shared-work.ts";

export type GitSource = Pick<
  GitVertex,
  "remote" | "ref" | "subdirectory" | "keepGitDirectory" | "checksum" | "submodules"
>;

export interface GitDownloadsParts {
  /** `<data-root>/buildkit/git` */
  readonly directory: string;
  readonly trees: GitTrees;
  /** Takes an archive that `write` makes at a path into the store of contexts. */
  readonly receive: (write: (path: string) => Promise<void>, signal: AbortSignal) => Promise<FileTree>;
  readonly stallMs?: number;
}

export interface GitFetching {
  readonly secrets: Secrets;
  readonly proxies: Proxies;
  readonly signal: AbortSignal;
}

export interface Checkout {
  readonly commit: string;
  tree(): Promise<FileTree>;
}

const STALL_MS = 120_000;

export class GitDownloads {
  readonly #work = new SharedWork<FileTree>();
  readonly #locks = new Map<string, FairLock>();

  constructor(private readonly parts: GitDownloadsParts) {
    mkdirSync(join(parts.directory, "repositories"), { recursive: true, mode: 0o700 });
  }

  async open(source: GitSource, fetching: GitFetching): Promise<Checkout> {
    const remote = parseRemote(source.remote);
    const authorization = await authorizationOf(remote, fetching.secrets, fetching.signal);
    const asked: Asked = { ...fetching, source, remote, authorization };
    const settled = await this.#settle(asked);
    return { commit: settled.commit, tree: () => this.#tree(asked, settled) };
  }

  async #settle(asked: Asked): Promise<Advertised> {
    const { source, remote } = asked;
    const wanted = source.ref === "" && isCommit(source.checksum) ? source.checksum : source.ref;
    const settled = isCommit(wanted)
      ? { commit: wanted, name: "", hashes: [wanted] }
      : await this.#atHome(asked, async (git) => {
          const args = ["ls-remote", "--", remote.url, ...patternsFor(wanted)];
          return chooseRef(await git({ args, reach: "remotes" }), wanted);
        });
    checkCommit(settled, source.checksum);
    return settled;
  }

  #tree(asked: Asked, { commit, name }: Advertised): Promise<FileTree> {
    const { source, remote, authorization, signal } = asked;
    const { subdirectory, keepGitDirectory, submodules } = source;
    // What credentials gave is for those who have them.
    const owner = createHash("sha256").update(authorization).digest("hex");
    const kept = keepGitDirectory ? name : undefined;
    const key = JSON.stringify([remote.url, owner, commit, subdirectory, kept, submodules]);
    return this.#work.run(key, signal, async (shared) => {
      const known = await this.parts.trees.find(key);
      if (known) return known;
      const tree = await this.#make({ ...asked, signal: shared }, { commit, name, owner });
      await this.parts.trees.put(key, tree.entries);
      return tree;
    });
  }

  #make(asked: Asked, { commit, name, owner }: Pick<Advertised, "commit" | "name"> & { owner: string }) {
    const { source, remote, signal } = asked;
    const id = createHash("sha256")
      .update(JSON.stringify([remote.url, owner]))
      .digest("hex");
    const repository = join(this.parts.directory, "repositories", id);
    return this.#atHome(asked, async (git, directory) => {
      const lock = this.#locks.get(id) ?? new FairLock();
      this.#locks.set(id, lock);
      const release = await lock.acquire("exclusive", signal);
      try {
        await fetchCommit(git, { repository, url: remote.url, commit, name });
      } finally {
        release();
        if (!lock.isHeld) this.#locks.delete(id);
      }
      return this.parts.receive(
        (archive) => checkOut(git, { directory, repository, url: remote.url, commit, name, source, archive, signal }),
        signal,
      );
    });
  }

  /** Work with a directory and an agent of its own, which go with it. */
  async #atHome<T>(asked: Asked, work: (git: Git, directory: string) => Promise<T>): Promise<T> {
    const { remote, authorization, secrets, proxies, signal } = asked;
    const directory = join(this.parts.directory, `incoming-${randomBytes(8).toString("hex")}`);
    try {
      await using agent = remote.overSsh ? await secrets.sshAgent("default", signal) : undefined;
      const home: GitHome = {
        directory,
        knownHosts: join(this.parts.directory, "known_hosts"),
        proxies,
        agent: agent?.socketPath,
        authorization:
          authorization === "" ? undefined : { scope: remote.scope, header: `Authorization: ${authorization}` },
      };
      prepareHome(home);
      const stallMs = this.parts.stallMs ?? STALL_MS;
      return await work((command) => runGit(home, { ...command, signal, stallMs }), directory);
    } catch (error) {
      throw signal.aborted ? signal.reason : explained(error, asked);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }
}

interface Asked extends GitFetching {
  readonly source: GitSource;
  readonly remote: GitRemote;
  /** "" without. */
  readonly authorization: string;
}

export type Git = (command: Pick<GitCommand, "args" | "reach" | "cwd">) => Promise<string>;

interface Fetch {
  readonly repository: string;
  readonly url: string;
  readonly commit: string;
  /** "" when nothing is known but the commit. */
  readonly name: string;
}

/** Not all servers give single commits, and not all give shallow ones. */
async function fetchCommit(git: Git, { repository, url, commit, name }: Fetch): Promise<void> {
  const inside = (...args: string[]) => git({ args: [`--git-dir=${repository}`, ...args], reach: "remotes" });
  const isThere = async (): Promise<boolean> => {
    try {
      await inside("cat-file", "-e", `${commit}^{commit}`);
      return true;
    } catch (error) {
      if (error instanceof GitFailure) return false;
      throw error;
    }
  };
  const now = new Date();
  await git({ args: ["init", "--quiet", "--bare", "--template=", repository], reach: "local" });
  await utimes(repository, now, now);
  await rm(join(repository, "shallow.lock"), { force: true }); // Of a builder that was killed.
  if (await isThere()) return;
  const kept = `refs/hull/${commit}`;
  const fetch = (...args: string[]) =>
    inside("fetch", "--no-tags", "--no-write-fetch-head", "--force", "--progress", ...args);
  const ways = [
    () => fetch("--depth=1", "--", url, `${commit}:${kept}`),
    ...(name === "" ? [] : [() => fetch("--depth=1", "--", url, `${name}:refs/fetched`)]),
    async () => {
      const isShallow = (await inside("rev-parse", "--is-shallow-repository")).trim() === "true";
      const everything = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"];
      return fetch(...(isShallow ? ["--unshallow"] : []), "--", url, ...everything);
    },
  ];
  let failure: unknown;
  for (const way of ways) {
    try {
      await way();
      if (!(await isThere())) continue;
      await inside("update-ref", kept, commit);
      return;
    } catch (error) {
      if (!(error instanceof GitFailure) || !isRefusal(error.said)) throw error;
      failure ??= error;
    }
  }
  throw new HullError("not-found", `the repository does not contain commit ${commit}`, { cause: failure });
}

const isRefusal = (said: string): boolean =>
  /not our ref|unadvertised object|does not support shallow|shallow capabilities|couldn't find remote ref|no such remote ref/i.test(
    said,
  );

function explained(error: unknown, { remote, source, authorization }: Asked): Error {
  const said = error instanceof GitFailure ? error.said : messageOf(error);
  const code = error instanceof GitFailure ? codeFor(said) : codeOf(error);
  const hidden = authorization === "" ? said : said.replaceAll(authorization, "***");
  const facts = error instanceof HullError ? error.facts : {};
  return new HullError(code, `fetch ${remote.url}: ${hidden}${adviceFor(said, remote)}`, {
    cause: error,
    facts: { ...facts, ...(facts.token === undefined && { token: source.remote }) },
  });
}

function codeFor(said: string): ReturnType<typeof codeOf> {
  if (/could not read (Username|Password)|Authentication failed|Permission denied|HTTP 40[13]/i.test(said))
    return "unauthenticated";
  if (/not found|does not exist|does not appear to be a git repository|not exported/i.test(said)) return "not-found";
  if (/transport '.*' not allowed/.test(said)) return "invalid-argument";
  return "unavailable";
}

function adviceFor(said: string, { overSsh }: GitRemote): string {
  if (overSsh && /Permission denied|Host key verification failed/.test(said))
    return "; give your agent to the build with --ssh default";
  if (/could not read (Username|Password)|Authentication failed/.test(said))
    return "; give credentials as the secret GIT_AUTH_TOKEN or GIT_AUTH_HEADER";
  return "";
}
