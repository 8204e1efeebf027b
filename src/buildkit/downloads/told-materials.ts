/** A build's downloads, of which it is remembered what they were. */
import type { Material } from "../attestations/build-origin.ts";
import { withoutCredentials } from "../attestations/credentials.ts";
import type { Downloads } from "../solver/ports.ts";
import { fileDigest } from "./downloads.ts";

export interface ToldDownloads {
  readonly downloads: Downloads;
  /** Each once, in the order in which they came. */
  readonly materials: () => readonly Material[];
}

export function toldMaterials(downloads: Downloads): ToldDownloads {
  const found = new Map<string, Material>();
  const add = (uri: string, digest: Material["digest"]): void => void found.set(uri, { uri, digest });
  return {
    downloads: {
      http: async (vertex, signal) => {
        const tree = await downloads.http(vertex, signal);
        add(withoutCredentials(vertex.url), fileDigest(tree));
        return tree;
      },
      git: async (vertex, signal) => {
        const checkout = await downloads.git(vertex, signal);
        add(`${withoutCredentials(vertex.remote)}${vertex.ref === "" ? "" : `#${vertex.ref}`}`, {
          sha1: checkout.commit,
        });
        return checkout;
      },
    },
    materials: () => [...found.values()],
  };
}
