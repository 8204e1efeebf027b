/** The store of what builds fetch, below `<data-root>/buildkit`. */

import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { operation } from "../../keel/plan.ts";
import type { KeelServe } from "../../keel/serve.ts";
import type { ContextReceiver } from "../context/receive.ts";
import { DownloadStore } from "./downloads.ts";
import { GitDownloads } from "./git-downloads.ts";
import { GitTrees } from "./git-trees.ts";
import { HttpDownloads } from "./http-download.ts";
import { HttpRecords } from "./http-records.ts";
import { takeProxies } from "./proxies.ts";

export interface OpenDownloadsOptions {
  /** `<data-root>/buildkit` */
  readonly directory: string;
  readonly contexts: ContextReceiver;
  readonly keel: Pick<KeelServe, "run">;
  /** Its proxies are taken out. */
  readonly env: NodeJS.ProcessEnv;
}

export interface OpenedDownloads extends Pick<DownloadStore, "open"> {
  /** Deletes what was not used for two days. */
  collect(): Promise<void>;
}

const UNUSED_MS = 48 * 3600 * 1000;

export async function openDownloads(options: OpenDownloadsOptions): Promise<OpenedDownloads> {
  const { directory, contexts, keel, env } = options;
  const objects = join(directory, "contexts/objects");
  const own = join(directory, "git");
  const records = new HttpRecords(join(directory, "urls"), objects);
  const trees = new GitTrees(join(own, "trees"), objects);
  const receive = contexts.receiveWritten.bind(contexts);
  const store = new DownloadStore({
    contexts,
    http: new HttpDownloads({ records, objects, receive }),
    git: new GitDownloads({ directory: own, trees, receive }),
    proxies: takeProxies(env),
  });
  const remove = (path: string) =>
    keel.run([operation("removeTree", { path }, { tolerate: ["ENOENT"], cause: "a repository that was fetched" })]);
  // Work that a killed builder had in hand.
  for (const name of await readdir(own)) if (name.startsWith("incoming-")) await remove(join(own, name));
  const collect = async (): Promise<void> => {
    await records.collect();
    await trees.collect();
    const repositories = join(own, "repositories");
    for (const name of await readdir(repositories)) {
      const path = join(repositories, name);
      if (Date.now() - (await stat(path)).mtimeMs > UNUSED_MS) await remove(path);
    }
  };
  return { open: (asked) => store.open(asked), collect };
}
