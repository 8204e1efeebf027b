/** Small documents in hull-containerd's store of contents, held by the builder's lease until a name leads to them. */
import { randomBytes } from "node:crypto";
import { type ContainerdClient, call } from "../../containerd/client.ts";
import { digestOf } from "../../oci/digest.ts";
import type { Descriptor } from "../../oci/image.ts";
import { codeOf, during } from "../../platform/errors.ts";
import { LEASE } from "./snapshot-layers.ts";

export interface Document {
  readonly mediaType: string;
  readonly bytes: Buffer;
  /** What leads collection to what it names: "containerd.io/gc.ref.content.l.0", ... */
  readonly labels: Readonly<Record<string, string>>;
}

/** Lifecycle: new -> `write`... -> what leads to them is named -> disposal, which lets go of them. */
export class StoredDocuments implements AsyncDisposable {
  readonly #held = new Set<string>();

  constructor(private readonly containerd: Pick<ContainerdClient, "content" | "leases">) {}

  async write({ mediaType, bytes, labels }: Document): Promise<Descriptor> {
    const { content, leases } = this.containerd;
    const digest = digestOf(bytes);
    this.#held.add(digest);
    await leases.addResource({ id: LEASE, resource: { type: "content", id: digest } }, call({}));
    const request = {
      // Of its own: another build may be writing the same document.
      ref: `build-${randomBytes(6).toString("hex")}-${digest}`,
      total: BigInt(bytes.length),
      expected: digest,
      offset: 0n,
      labels,
      data: bytes,
    };
    try {
      for await (const _answer of content.write(once({ ...request, action: 2 }), call({})));
    } catch (error) {
      if (codeOf(error) !== "already-exists") throw during(`store ${mediaType}`, error);
      const mask = { paths: Object.keys(labels).map((name) => `labels.${name}`) };
      if (mask.paths.length > 0) await content.update({ info: { digest, labels }, updateMask: mask }, call({}));
    }
    return { mediaType, digest, size: bytes.length };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const id of this.#held)
      await this.containerd.leases.deleteResource({ id: LEASE, resource: { type: "content", id } }, call({}));
  }
}

async function* once<T>(value: T): AsyncGenerator<T> {
  yield value;
}
