/** OCI layouts of a client's session, which it gives out as containerd's content service. */
import { Content } from "../../containerd/gen/containerd/services/content/v1/content_pb.ts";
import type { BaseImages, ImageLayouts } from "../build.ts";
import type { LayoutImages } from "../daemon/layout-images.ts";
import type { BuildListener } from "../progress.ts";
import { internalStep } from "./internal-step.ts";
import type { Session } from "./session.ts";

export interface ClientLayoutsParts {
  readonly session: Session;
  readonly layouts: Pick<LayoutImages, "load">;
  readonly images: BaseImages;
  readonly listener: BuildListener;
  readonly signal: AbortSignal;
}

export function clientLayouts({ session, layouts, images, listener, signal }: ClientLayoutsParts): ImageLayouts {
  async function* read(store: string, digest: string): AsyncGenerator<Uint8Array> {
    const metadata = { "buildkit-attachable-store-id": `oci:${store}` };
    const request = (async function* () {
      yield { digest };
    })();
    for await (const { data } of session.converse(Content.method.read, { metadata, signal }, request)) yield data;
  }
  return {
    load: ({ name, store, digest, platform }) =>
      internalStep(
        listener,
        `[context ${name}] OCI load from client`,
        async () => {
          const id = await layouts.load({ read: (blob) => read(store, blob), digest, platform, signal });
          return images.resolve(id, { platform, pull: false });
        },
        platform,
      ),
  };
}
