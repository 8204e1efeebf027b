/** Images as the engine's other parts see them. Reads come from memory; containerd owns the content. */
import type { ImageConfig } from "../../oci/image.ts";

export interface ResolvedImage {
  /** "sha256:…" of the image config: Docker's image id. */
  readonly id: string;
  /** The reference that was asked for, as Docker shows it ("busybox:latest"); the id when asked for by id. */
  readonly reference: string;
  /** Name of containerd's image record ("docker.io/library/busybox:latest"). */
  readonly recordName: string;
  readonly config: ImageConfig;
  /** Parent of a container's snapshot. */
  readonly chainId: string;
  /** The platform's manifest, for ImageManifestDescriptor. */
  readonly manifest: { readonly mediaType: string; readonly digest: string; readonly size: number };
  /** Every name it has, familiar form. */
  readonly repoTags: readonly string[];
}

/**
 * Lifecycle: `start` fills the memory from containerd and follows its events until the daemon ends; calls before the first filling wait for it
 * (reads of the API do not: they see what is known).
 */
export interface ImageService {
  /**
   * By reference, id or unambiguous id prefix. Throws not-found in Docker's words (`No such image: x:latest`), invalid-argument for a
   * malformed or ambiguous one. `platform`: "linux/arm64"; absent is this machine's.
   */
  resolve(reference: string, platform?: string): Promise<ResolvedImage>;
  /** From memory, at once; undefined when unknown. */
  find(reference: string): ResolvedImage | undefined;
  /** What containerd made anew (commit, import, load): reads it into memory and publishes nothing. */
  refresh(recordName: string): Promise<ResolvedImage>;
}

/** Who uses an image; the containers' side implements it. */
export interface ImageUser {
  readonly containerId: string;
  readonly running: boolean;
}
