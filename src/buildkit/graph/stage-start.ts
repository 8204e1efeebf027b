/** A stage before its first instruction: what its FROM brings. */
import { formatPlatform, normalizePlatform } from "../../oci/platform.ts";
import type { Outside } from "./origins.ts";
import type { DraftBase } from "./plan.ts";
import { emptyRunConfig, parseRunConfig, withPath } from "./run-config.ts";
import type { StageState } from "./stage-state.ts";
import type { Dialect, SourceRange, Vertex } from "./vertex.ts";

export interface StageStart {
  readonly state: StageState;
  readonly base: DraftBase | undefined;
}

export interface StartOptions {
  readonly dialect: Dialect;
  readonly platform: string;
  readonly location: SourceRange | undefined;
  /** Names the vertex that an image becomes. */
  readonly nameOf: (text: string) => string;
}

/** From what is outside of the Dockerfile. */
export function startOutside(outside: Outside, options: StartOptions): StageStart {
  const { dialect } = options;
  const vertex = baseVertex(outside, options);
  const image = outside.kind === "image" ? outside.image : undefined;
  const config = withPath(image ? parseRunConfig(image.config.config) : emptyRunConfig(dialect));
  const author = image?.config.author;
  const state: StageState = {
    vertex,
    // What ONBUILD kept becomes instructions.
    config: { ...config, onBuild: undefined },
    author: dialect === "buildkit" && typeof author === "string" ? author : "",
    entries: [],
    cmdSet: false,
    args: [],
    environment: config.env,
    platform: options.platform,
  };
  return { state, base: image && { id: image.id, document: image.config, vertex, blobs: image.blobs ?? [] } };
}

/** From another stage: with BuildKit its arguments stay in scope. */
export function startFromStage(start: StageStart, dialect: Dialect): StageStart {
  const { state, base } = start;
  const config = withPath({ ...state.config, onBuild: undefined });
  const fresh = { ...state, config, cmdSet: false };
  if (dialect === "buildkit") return { state: fresh, base };
  return { state: { ...fresh, args: [], environment: config.env, author: "" }, base };
}

/** The files of an image or context as a file system to build on. */
export function baseVertex(outside: Outside, { platform, location, nameOf }: StartOptions): Vertex {
  const base = { location, ignoreCache: false, platform };
  if (outside.kind === "scratch") return { ...base, name: "FROM scratch", kind: "scratch" };
  if (outside.kind === "files") {
    const { vertex } = outside;
    const scratch: Vertex = { ...base, name: vertex.name, kind: "scratch" };
    return {
      ...base,
      name: vertex.name,
      kind: "copy",
      base: scratch,
      from: vertex,
      sources: ["/"],
      destination: "/",
      owner: undefined,
      chmod: undefined,
      excludes: [],
      parents: false,
      unpack: "never",
      dialect: "buildkit",
    };
  }
  const { reference, image, label } = outside;
  if (image.stack.layers.length === 0) return { ...base, name: `FROM ${reference}`, kind: "scratch" };
  const name = label === "" ? nameOf(`FROM ${reference}`) : `${label} ${reference}`;
  return { ...base, name, kind: "image", reference, digest: image.digest, chainId: image.stack.chainId };
}

/** "linux/arm64" of an image's own document; "" when it does not say. */
export function platformOfImage(outside: Outside): string {
  if (outside.kind !== "image") return "";
  const { os, architecture, variant } = outside.image.config;
  if (typeof os !== "string" || typeof architecture !== "string") return "";
  return formatPlatform(
    normalizePlatform({ os, architecture, ...(typeof variant === "string" && variant !== "" && { variant }) }),
  );
}
