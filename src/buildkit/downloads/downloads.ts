/** What builds fetch themselves: files from URLs and checkouts. One store for all builds, of which each has a view with its own secrets and proxies. */
import type { HttpVertex } from "../graph/vertex.ts";
import { vertexId } from "../graph/vertex-id.ts";
import type { BuildListener } from "../progress.ts";
import type { Downloads, Secrets } from "../solver/ports.ts";
import type { GitDownloads } from "./git-downloads.ts";
import type { Fetching, HttpDownloads } from "./http-download.ts";
import { type Proxies, readProxies } from "./proxies.ts";

export interface BuildFetching {
  readonly secrets: Secrets;
  readonly listener: BuildListener;
  /** HTTP_PROXY and its kin count before the daemon's. */
  readonly buildArgs: Readonly<Record<string, string>>;
}

export interface DownloadStoreParts {
  readonly http: HttpDownloads;
  readonly git: GitDownloads;
  /** The daemon's. */
  readonly proxies: Proxies;
}

export class DownloadStore {
  constructor(private readonly parts: DownloadStoreParts) {}

  /** The build's view. */
  open({ secrets, listener, buildArgs }: BuildFetching): Downloads {
    const proxies = { ...this.parts.proxies, ...readProxies(buildArgs) };
    const fetching = (vertex: HttpVertex, signal: AbortSignal): Fetching => ({
      ...{ secrets, proxies, signal },
      onProgress: progressOf(listener, vertex),
    });
    return {
      http: (vertex, signal) => this.parts.http.tree(vertex, fetching(vertex, signal)),
      git: (vertex, signal) => this.parts.git.open(vertex, { secrets, proxies, signal }),
    };
  }
}

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
