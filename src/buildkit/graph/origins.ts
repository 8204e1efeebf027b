/** What lies outside of the Dockerfile: images, directories of the client and repositories that stages begin with or copy from. */
import { familiarReference, formatReference, parseReference, withDefaultTag } from "../../oci/reference.ts";
import { codeOf, HullError, messageOf } from "../../platform/errors.ts";
import type { BaseImage, BuildRequest } from "../build.ts";
import { didYouMean } from "../dockerfile/suggest.ts";
import type { ContextUse } from "./context-use.ts";
import { parseGitReference } from "./git-reference.ts";
import type { Vertex } from "./vertex.ts";

export type Outside =
  | { readonly kind: "scratch" }
  | { readonly kind: "image"; readonly reference: string; readonly image: BaseImage; readonly label: string }
  /** Files without a configuration. */
  | { readonly kind: "files"; readonly vertex: Vertex };

/** Looks each of them up once per platform, all at the same time. */
export class Origins {
  readonly #known = new Map<string, Promise<Outside>>();

  constructor(
    private readonly request: BuildRequest,
    private readonly contexts: ContextUse,
  ) {}

  /** `image`: as the Dockerfile has it. Rejects with not-found in Docker's words. */
  find(image: string, platform: string): Promise<Outside> {
    const key = `${platform} ${image}`;
    const known = this.#known.get(key);
    if (known) return known;
    const found = this.#find(image, platform);
    this.#known.set(key, found);
    return found;
  }

  isNamedContext(name: string, platform: string): boolean {
    return this.#namedContext(name, platform) !== undefined;
  }

  async #find(image: string, platform: string): Promise<Outside> {
    const named = this.#namedContext(image, platform);
    if (named !== undefined) return this.#load(image, named, platform);
    return this.#image(image, platform, "");
  }

  async #image(name: string, platform: string, label: string): Promise<Outside> {
    if (name === "scratch") return { kind: "scratch" };
    this.request.signal.throwIfAborted();
    const image = await this.request.images.resolve(name, { platform, pull: this.request.pull });
    return { kind: "image", reference: fullReference(name, image.digest), image, label };
  }

  #namedContext(name: string, platform: string): string | undefined {
    const { namedContexts } = this.request;
    for (const candidate of namesOf(name)) {
      const found = namedContexts[`${candidate}::${platform}`] ?? namedContexts[candidate];
      if (found !== undefined) return found;
    }
    return undefined;
  }

  async #load(name: string, value: string, platform: string): Promise<Outside> {
    if (value.startsWith("docker-image://")) {
      return this.#image(value.slice("docker-image://".length), platform, `[context ${name}]`);
    }
    if (value.startsWith("oci-layout://")) return this.#layout(name, value, platform);
    if (value.startsWith("input:") || value.startsWith("target:")) {
      throw new HullError(
        "unimplemented",
        `build context ${name}: ${value.split(":", 1)[0]} contexts are not supported`,
      );
    }
    return { kind: "files", vertex: this.#files(name, value, platform) };
  }

  async #layout(name: string, value: string, platform: string): Promise<Outside> {
    const [, store, digest] = /^oci-layout:\/\/([^:@]+)(?::[^@]*)?@(sha256:[0-9a-f]{64})$/.exec(value) ?? [];
    if (store === undefined || digest === undefined)
      throw new HullError("invalid-argument", `build context ${name}: oci-layout reference "${value}" has no digest`);
    const image = await this.request.layouts.load({ name, store, digest, platform });
    return { kind: "image", reference: fullReference(name, digest), image, label: `[context ${name}]` };
  }

  #files(name: string, value: string, platform: string): Vertex {
    const base = { name: `[context ${name}] ${value}`, location: undefined, ignoreCache: false, platform };
    const git = parseGitReference(value);
    if (git !== undefined) {
      const keepGitDirectory = git.keepGitDirectory ?? this.request.buildArgs.BUILDKIT_CONTEXT_KEEP_GIT_DIR === "1";
      const { remote, ref, subdirectory, checksum, submodules } = git;
      return { ...base, kind: "git", remote, ref, subdirectory, keepGitDirectory, checksum, submodules };
    }
    if (/^https?:\/\//.test(value)) return { ...base, kind: "http", url: value, checksum: "", fileName: "context" };
    return this.contexts.vertex(value.replace(/^local:/, ""), name);
  }
}

/** What a context may be called that stands in for this image: as written, and in Docker's short form without ":latest". */
function namesOf(name: string): readonly string[] {
  try {
    return [...new Set([familiarReference(parseReference(name)).replace(/:latest$/, ""), name])];
  } catch {
    return [name]; // An image's id: no name.
  }
}

function fullReference(name: string, digest: string): string {
  try {
    const full = formatReference(withDefaultTag(parseReference(name)));
    return digest === "" || full.includes("@") ? full : `${full}@${digest}`;
  } catch {
    return name; // An image's id.
  }
}

const commonImages = ["alpine", "busybox", "centos", "debian", "fedora", "golang", "ubuntu"];

/** Says which image could not be had, as BuildKit does, and which stage or image may have been meant. */
export function unresolved(image: string, error: unknown, stages: readonly string[]): HullError {
  const text = messageOf(error);
  const near = didYouMean(image, [...stages, ...commonImages]);
  return new HullError(codeOf(error), `${text.includes(image) ? "" : `${image}: `}${text}${near}`, {
    cause: error,
    facts: { token: image },
  });
}
