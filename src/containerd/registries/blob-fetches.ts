/**
 * Blobs on their way into the content store: each fetched once however many pulls want it, so many at a time.
 *
 * Lifecycle of one: asked for -> waits for a slot -> downloads (resumes) -> is published. It goes on while anybody waits for it.
 */
import type { Descriptor } from "../../oci/image.ts";
import type { RepositoryTarget, TransferProgress } from "../../registry/transfer/protocol.ts";
import type { Transfers } from "../../registry/transfer/transfer-process.ts";
import { PULL_REF } from "../content/ingest.ts";
import type { LocalContent } from "../content/local-content.ts";
import { GIVEN_LABEL } from "../images/image-writer.ts";
import type { Slots } from "../images/slots.ts";
import { withSource } from "./source-label.ts";

export type FetchState =
  | { readonly kind: "waiting" | "verifying" | "downloaded" }
  | { readonly kind: "downloading"; readonly current: number }
  | { readonly kind: "retrying"; readonly seconds: number };

export interface BlobFetch {
  readonly namespace: string;
  readonly descriptor: Descriptor;
  readonly target: RepositoryTarget;
  readonly signal: AbortSignal;
  readonly onState: (state: FetchState) => void;
}

interface Job {
  readonly done: Promise<void>;
  readonly stop: AbortController;
  readonly waiting: Set<BlobFetch>;
  last: FetchState | undefined;
}

export interface BlobFetchParts {
  readonly content: LocalContent;
  readonly transfers: Transfers;
  readonly slots: Slots;
}

export class BlobFetches {
  readonly #jobs = new Map<string, Job>();

  constructor(private readonly parts: BlobFetchParts) {}

  /** Resolves when the namespace has the blob. */
  async fetch(wanted: BlobFetch): Promise<void> {
    const key = `${wanted.namespace} ${wanted.descriptor.digest}`;
    for (;;) {
      wanted.signal.throwIfAborted();
      if (this.parts.content.find(wanted.namespace, wanted.descriptor.digest)) return;
      const joined = this.#jobs.get(key);
      const job = joined ?? this.#begin(key, wanted);
      try {
        return await waitFor(job, wanted);
      } catch (error) {
        // Whoever began it may have had no right to it, or gone.
        if (joined === undefined || wanted.signal.aborted) throw error;
      }
    }
  }

  #begin(key: string, first: BlobFetch): Job {
    const stop = new AbortController();
    const waiting = new Set<BlobFetch>();
    const tell = (state: FetchState): void => {
      job.last = state;
      for (const { onState } of waiting) onState(state);
    };
    const work = async (): Promise<void> => {
      try {
        await this.parts.slots.run(
          () => this.#run(first, { signal: stop.signal, tell }),
          () => tell({ kind: "waiting" }),
        );
      } finally {
        this.#jobs.delete(key);
      }
    };
    // Begun in the next turn: the one that begins it is among the waiting then.
    const job: Job = { done: Promise.resolve().then(work), stop, waiting, last: undefined };
    job.done.catch(() => undefined);
    this.#jobs.set(key, job);
    return job;
  }

  async #run(
    { namespace, descriptor, target }: BlobFetch,
    { signal, tell }: { readonly signal: AbortSignal; readonly tell: (state: FetchState) => void },
  ): Promise<void> {
    signal.throwIfAborted();
    const { content, transfers } = this.parts;
    const { digest, size } = descriptor;
    await using receipt = await content.receive(namespace, {
      ref: `${PULL_REF}${digest}`,
      total: size,
      expected: digest,
    });
    tell({ kind: "downloading", current: 0 });
    const onProgress = (progress: TransferProgress): void => {
      if (progress.kind === "bytes") tell({ kind: "downloading", current: progress.current });
      if (progress.kind === "retry") tell({ kind: "retrying", seconds: progress.seconds });
    };
    await transfers.ask("download", { target, blob: { digest, size, path: receipt.path } }, { signal, onProgress });
    tell({ kind: "verifying" });
    await receipt.publish(withSource({ [GIVEN_LABEL]: "" }, target.reference));
    tell({ kind: "downloaded" });
  }
}

async function waitFor(job: Job, wanted: BlobFetch): Promise<void> {
  job.waiting.add(wanted);
  if (job.last) wanted.onState(job.last);
  const gone = Promise.withResolvers<never>();
  const leave = (): void => gone.reject(wanted.signal.reason);
  wanted.signal.addEventListener("abort", leave, { once: true });
  try {
    await Promise.race([job.done, gone.promise]);
  } finally {
    wanted.signal.removeEventListener("abort", leave);
    job.waiting.delete(wanted);
    if (job.waiting.size === 0) job.stop.abort(wanted.signal.reason);
  }
}
