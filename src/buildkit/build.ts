/** One build as the daemon takes it from any protocol, and what comes of it. */

import type { SpanContext } from "../trace/context.ts";
import type { BuildOrigin } from "./attestations/build-origin.ts";
import type { FileTree } from "./files/entry.ts";
import type { Dialect, RunLimits, Vertex } from "./graph/vertex.ts";
import type { BuildListener } from "./progress.ts";
import type { Explanation } from "./solver/explain.ts";
import type { Contexts, Downloads, LayerStack, Secrets } from "./solver/ports.ts";

export interface BuildRequest {
  /** Unique; BuildKit's ref. */
  readonly id: string;
  readonly dialect: Dialect;
  readonly dockerfile: { readonly name: string; readonly data: Buffer };
  readonly target: string;
  /** Every stage is planned, not only what the target needs: for checks. */
  readonly everyStage?: boolean;
  /** "linux/amd64"; empty: this machine's. */
  readonly platforms: readonly string[];
  readonly buildArgs: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly noCache: boolean;
  /** Stages of --no-cache-filter. */
  readonly noCacheFilter: readonly string[];
  readonly pull: boolean;
  readonly network: "default" | "host" | "none";
  /** Of commands; "": each has one of its own. */
  readonly hostname?: string;
  readonly extraHosts: readonly string[];
  /** What the client and the daemon both allow: "security.insecure". */
  readonly entitlements?: readonly string[];
  readonly limits: RunLimits;
  /** --build-context NAME=...: "docker-image://alpine", "context" (the client sends it under this name), a URL. */
  readonly namedContexts: Readonly<Record<string, string>>;
  readonly contexts: Contexts;
  /** Patterns of the main context's ignore file, as far as the daemon knows it; asked for any number of times. */
  readonly ignored: () => Promise<readonly string[]>;
  readonly downloads: Downloads;
  readonly secrets: Secrets;
  readonly images: BaseImages;
  readonly layouts: ImageLayouts;
  readonly listener: BuildListener;
  /** What names the same Dockerfile in the next build: whose steps a miss is compared with. */
  readonly project?: string;
  /** Hits and misses, with why. */
  readonly onExplained?: (explanation: Explanation) => void;
  /** The span of a vertex that has begun, by its id. */
  readonly spanOf?: (id: string) => SpanContext | undefined;
  readonly signal: AbortSignal;
}

/** Images of OCI layouts that the client has. */
export interface ImageLayouts {
  /** The image is here from then on, without a name. `name`: of the context; `platform`: "" is this machine's. */
  load(layout: {
    readonly name: string;
    readonly store: string;
    readonly digest: string;
    readonly platform: string;
  }): Promise<BaseImage>;
}

/** Images that FROM and COPY --from name. */
export interface BaseImages {
  /** not-found in Docker's words. Pulls when asked to and when it is missing, where pulling is there. */
  resolve(reference: string, options: { readonly platform: string; readonly pull: boolean }): Promise<BaseImage>;
}

export interface BaseImage {
  /** Of the manifest. */
  readonly digest: string;
  /** Docker's image id: of the config. */
  readonly id: string;
  /** The config document as it is. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly stack: LayerStack;
  /** Its layers as its manifest has them, as far as they are known. */
  readonly blobs?: readonly LayerBlob[];
}

/** A layer as a manifest names it: perhaps compressed. */
export interface LayerBlob {
  readonly diffId: string;
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

/** One platform's image, not stored yet. */
export interface BuiltImage {
  readonly platform: string;
  /** The config document: architecture, os, config, rootfs, history, created. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly stack: LayerStack;
  /** Of the image that it was built on. */
  readonly baseBlobs: readonly LayerBlob[];
  /** Other stages that are looked through for packages. */
  readonly scans: readonly { readonly name: string; readonly stack: LayerStack }[];
  readonly scansContext: boolean;
  readonly target: Vertex;
  /** How it came to be, and the context for who looks through it; where the protocol can ask for that. */
  readonly origin?: BuildOrigin;
  readonly contextTree?: (signal: AbortSignal) => Promise<FileTree>;
}
