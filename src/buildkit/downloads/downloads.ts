/** What builds fetch themselves: files from URLs and checkouts. One store for all builds, of which each has a view with its own secrets and proxies. */
import { HullError } from "../../platform/errors.ts";
import type { ContextReceiver } from "../context/receive.ts";
import type { FileTree } from "../files/entry.ts";
import type { HttpVertex } from "../graph/vertex.ts";
import { vertexId } from "../graph/vertex-id.ts";
import type { BuildListener } from "../progress.ts";
import type { Downloads, Secrets } from "../solver/ports.ts";
import type { GitDownloads } from "./git-downloads.ts";
import type { Fetching, HttpDownloads } from "./http-download.ts";
import { type Proxies, readProxies } from "./proxies.ts";
import { CONTEXT_FILE, downloadedContext, isHttpUrl, parseGitContext, type RemoteContext } from "./remote-context.ts";

export interface BuildFetching {
  readonly secrets: Secrets;
  readonly listener: BuildListener;
  /** HTTP_PROXY and its kin count before the daemon's. */
  readonly buildArgs: Readonly<Record<string, string>>;
}

export interface BuildDownloads extends Downloads {
  /** A build's main context. */
  context(
    url: string,
    options: { readonly keepGitDirectory: boolean; readonly signal: AbortSignal },
  ): Promise<RemoteContext>;
}

export interface DownloadStoreParts {
  readonly contexts: Pick<ContextReceiver, "receiveFile">;
  readonly http: HttpDownloads;
  readonly git: GitDownloads;
  /** The daemon's. */
  readonly proxies: Proxies;
}

export class DownloadStore {
  constructor(private readonly parts: DownloadStoreParts) {}

  /** The build's view. */
  open({ secrets, listener, buildArgs }: BuildFetching): BuildDownloads {
    const proxies = { ...this.parts.proxies, ...readProxies(buildArgs) };
    const fetching = (vertex: HttpVertex, signal: AbortSignal): Fetching => ({
      ...{ secrets, proxies, signal },
      onProgress: progressOf(listener, vertex),
    });
    const { http, git, contexts } = this.parts;
    const ofUrl = async (url: string, signal: AbortSignal): Promise<RemoteContext> => {
      const silent = { secrets, proxies, signal, onProgress: () => {} };
      const tree = await http.tree({ url, checksum: "", fileName: CONTEXT_FILE }, silent);
      const context = await downloadedContext({ path: http.pathOf(tree), tree }, { contexts, signal });
      return { ...context, digest: fileDigest(tree) };
    };
    return {
      context: async (url, { keepGitDirectory, signal }) => {
        const reference = parseGitContext(url);
        if (!reference && isHttpUrl(url)) return ofUrl(url, signal);
        if (!reference) throw new HullError("invalid-argument", `${url} is neither a URL nor a repository`);
        const source = { ...reference, keepGitDirectory: reference.keepGitDirectory ?? keepGitDirectory };
        const checkout = await git.open(source, { secrets, proxies, signal });
        return { kind: "files", tree: await checkout.tree(), digest: { sha1: checkout.commit } };
      },
      http: (vertex, signal) => http.tree(vertex, fetching(vertex, signal)),
      git: (vertex, signal) => git.open(vertex, { secrets, proxies, signal }),
    };
  }
}

/** Of a downloaded file's tree. */
export const fileDigest = ({ entries }: FileTree): Readonly<Record<string, string>> => ({
  sha256: entries.find(({ kind }) => kind === "file")?.sha256 ?? "",
});

const TELL_MS = 100;
const nowNs = (): bigint => BigInt(Date.now()) * 1_000_000n;

/** "downloading data.tar: 2.10MB / 5.00MB", a few times a second and at the end. */
function progressOf(listener: BuildListener, vertex: HttpVertex): Fetching["onProgress"] {
  const [startedNs, name] = [nowNs(), `downloading ${vertex.fileName}`];
  let toldAt = 0;
  return (current, total) => {
    const isWhole = current === total;
    if (!isWhole && performance.now() - toldAt < TELL_MS) return;
    toldAt = performance.now();
    const completedNs = isWhole ? nowNs() : 0n;
    listener({ kind: "status", id: vertexId(vertex), name, current, total, startedNs, completedNs });
  };
}
