/** The store of what builds fetch, below `<data-root>/buildkit`. */
import { join } from "node:path";
import type { ContextReceiver } from "../context/receive.ts";
import { DownloadStore } from "./downloads.ts";
import { HttpDownloads } from "./http-download.ts";
import { HttpRecords } from "./http-records.ts";
import { takeProxies } from "./proxies.ts";

export interface OpenDownloadsOptions {
  /** `<data-root>/buildkit` */
  readonly directory: string;
  readonly contexts: ContextReceiver;
  /** Its proxies are taken out. */
  readonly env: NodeJS.ProcessEnv;
}

export interface OpenedDownloads extends Pick<DownloadStore, "open"> {
  /** Deletes what was not used for two days. */
  collect(): Promise<void>;
}

export async function openDownloads({ directory, contexts, env }: OpenDownloadsOptions): Promise<OpenedDownloads> {
  const objects = join(directory, "contexts/objects");
  const records = new HttpRecords(join(directory, "urls"), objects);
  const receive = contexts.receiveWritten.bind(contexts);
  const store = new DownloadStore({
    http: new HttpDownloads({ records, objects, receive }),
    proxies: takeProxies(env),
  });
  return { open: (asked) => store.open(asked), collect: () => records.collect() };
}
