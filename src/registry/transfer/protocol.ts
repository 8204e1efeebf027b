/**
 * What hull-containerd and its transfer process say to each other: lines of JSON. Bulk bytes are in files whose paths are said, which the process reads or writes.
 */
import type { Digest } from "../../oci/digest.ts";
import type { Credentials } from "../client/credentials.ts";
import type { RateLimit } from "../client/rate-limit.ts";
import type { SearchResult } from "../client/search.ts";
import type { RegistrySettings } from "../client/settings.ts";

/** First argument of hull-containerd in the role. */
export const TRANSFER_ARGUMENT = "transfers";

export interface RepositoryTarget {
  readonly reference: { readonly domain: string; readonly path: string };
  readonly credentials: Credentials | undefined;
  readonly settings: RegistrySettings;
}

export interface BlobFile {
  readonly digest: Digest;
  readonly size: number;
  readonly path: string;
}

export interface WireManifest {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly base64: string;
}

/** Method to what it takes and what it answers. */
export interface TransferMethods {
  /** null: the registry does not say without the bytes. */
  readonly head: {
    params: { target: RepositoryTarget; name: string };
    result: { digest: Digest; size: number; mediaType: string } | null;
  };
  readonly manifest: { params: { target: RepositoryTarget; name: string }; result: WireManifest };
  readonly document: { params: { target: RepositoryTarget; digest: Digest }; result: { base64: string } };
  readonly tags: { params: { target: RepositoryTarget }; result: readonly string[] };
  /** Into the file, whose bytes are the blob's beginning. */
  readonly download: { params: { target: RepositoryTarget; blob: BlobFile }; result: null };
  readonly has: { params: { target: RepositoryTarget; digest: Digest }; result: boolean };
  readonly mount: {
    params: { target: RepositoryTarget; digest: Digest; from: readonly string[] };
    result: string | null;
  };
  readonly upload: { params: { target: RepositoryTarget; blob: BlobFile }; result: null };
  readonly putManifest: {
    params: { target: RepositoryTarget; name: string; mediaType: string; base64: string };
    result: null;
  };
  readonly login: {
    params: { server: string; credentials: Credentials; settings: RegistrySettings };
    result: { identityToken: string };
  };
  readonly search: {
    params: { term: string; limit: number; credentials: Credentials | undefined; settings: RegistrySettings };
    result: readonly SearchResult[];
  };
  /** A gzip file of a file; the same bytes always give the same. */
  readonly compress: { params: { source: string; target: string }; result: { digest: Digest; size: number } };
}

export type TransferMethod = keyof TransferMethods;

export type TransferProgress =
  | { readonly kind: "bytes"; readonly current: number }
  | { readonly kind: "retry"; readonly seconds: number }
  | { readonly kind: "limit"; readonly limit: RateLimit };

export type ToTransfers =
  | { readonly id: number; readonly method: TransferMethod; readonly params: unknown }
  | { readonly id: number; readonly cancel: true };

export type FromTransfers =
  | { readonly id: number; readonly progress: TransferProgress }
  | { readonly id: number; readonly value: unknown }
  | {
      readonly id: number;
      readonly error: {
        readonly code: string;
        readonly message: string;
        readonly facts: Readonly<Record<string, string | number>>;
      };
    };
