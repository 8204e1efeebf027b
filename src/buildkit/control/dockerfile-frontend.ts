/** The Dockerfile frontend on a client's session: options and directories of the client in, images out. */
import { HullError } from "../../platform/errors.ts";
import type { BaseImages, BuildRequest, BuiltImage } from "../build.ts";
import { type ImageBuild, type ImageBuildParts, planImages } from "../daemon/image-build.ts";
import { keepingBuildFiles } from "../files/ignore.ts";
import type { BuildListener } from "../progress.ts";
import type { Downloads } from "../solver/ports.ts";
import { buildFailure } from "./build-failure.ts";
import { type ClientDockerfile, readDockerfile, readIgnoreFile } from "./client-files.ts";
import { clientSecrets } from "./client-secrets.ts";
import { type FrontendOptions, parseFrontendAttributes } from "./frontend-attributes.ts";
import { internalStep } from "./internal-step.ts";
import type { LiveBuild } from "./live-build.ts";
import type { Session, Sessions } from "./session.ts";
import { type ContextStore, syncedContexts } from "./synced-contexts.ts";

export interface FrontendParts extends ImageBuildParts {
  readonly sessions: Sessions;
  readonly contexts: ContextStore;
  readonly images: BaseImages;
  readonly downloads: Downloads;
  /** For what waits to be told, and sockets. */
  readonly scratch: string;
}

export interface FrontendCall {
  readonly live: LiveBuild;
  readonly attributes: Readonly<Record<string, string>>;
  readonly entitlements: readonly string[];
  readonly signal: AbortSignal;
}

export interface FrontendResult extends AsyncDisposable {
  readonly images: readonly BuiltImage[];
  readonly multiPlatform: boolean;
}

/** Its disposal lets go of the images' layers. */
export async function buildDockerfile(parts: FrontendParts, call: FrontendCall): Promise<FrontendResult> {
  const options = parseFrontendAttributes(call.attributes);
  refuse(options);
  const { live, signal } = call;
  const session = await parts.sessions.get(live.sessionId, signal);
  const dockerfile = await loadDockerfile(parts, call, { options, session });
  live.source = { file: dockerfile.name, data: dockerfile.data };
  const request = buildRequest(parts, call, { options, session, dockerfile });
  try {
    return await buildImages(parts, request, options);
  } catch (error) {
    throw buildFailure(error, live.source);
  }
}

async function buildImages(
  parts: FrontendParts,
  request: BuildRequest,
  { multiPlatform }: FrontendOptions,
): Promise<FrontendResult> {
  const build: ImageBuild = await planImages(parts, request);
  try {
    const images = await build.finish();
    return { images, multiPlatform, [Symbol.asyncDispose]: () => build[Symbol.asyncDispose]() };
  } catch (error) {
    await build[Symbol.asyncDispose]();
    throw error;
  }
}

function refuse({ request, contextUrl }: FrontendOptions): void {
  if (request !== "") throw new HullError("unimplemented", `the request ${request} of a frontend is not available yet`);
  if (contextUrl !== "")
    throw new HullError("unimplemented", `building from ${contextUrl} is not available yet: use a directory`);
}

interface Loaded {
  readonly options: FrontendOptions;
  readonly session: Session;
}

/** The session that has a directory: the build's own, or one that the client names. */
const sessionOf = (parts: FrontendParts, { options, session }: Loaded, directory: string, signal: AbortSignal) => {
  const named = options.sessions[directory];
  return named === undefined ? Promise.resolve(session) : parts.sessions.get(named, signal);
};

async function loadDockerfile(
  parts: FrontendParts,
  { live, signal }: FrontendCall,
  loaded: Loaded,
): Promise<ClientDockerfile> {
  const { fileName } = loaded.options;
  const session = await sessionOf(parts, loaded, "dockerfile", signal);
  const name = `[internal] load build definition from ${fileName}`;
  return internalStep(live.listen, name, () => readDockerfile({ session, signal }, fileName));
}

interface Given extends Loaded {
  readonly dockerfile: ClientDockerfile;
}

function buildRequest(parts: FrontendParts, call: FrontendCall, given: Given): BuildRequest {
  const { live, signal, entitlements } = call;
  const { options, session, dockerfile } = given;
  const { target, buildArgs, labels, noCache, noCacheFilter, pull, network, extraHosts, limits } = options;
  return {
    id: live.ref,
    dialect: "buildkit",
    dockerfile: { name: dockerfile.name, data: dockerfile.data },
    ...{ target, buildArgs, labels, noCache, noCacheFilter, pull, network, extraHosts, limits, entitlements },
    platforms: options.platforms,
    namedContexts: options.namedContexts,
    contexts: contextsOf(parts, call, given),
    downloads: parts.downloads,
    secrets: clientSecrets(session, parts.scratch),
    images: parts.images,
    listener: live.listen,
    signal,
  };
}

function contextsOf(parts: FrontendParts, { live, signal }: FrontendCall, given: Given): BuildRequest["contexts"] {
  const { options, dockerfile } = given;
  const listener: BuildListener = live.listen;
  const sessionFor = (directory: string) => sessionOf(parts, given, directory, signal);
  return syncedContexts({
    store: parts.contexts,
    build: live.ref,
    sessionOf: sessionFor,
    keyOf: (directory, session) =>
      JSON.stringify([session.facts.sharedKey, options.sharedKeys[directory] ?? "", directory]),
    ignored: async (directory) => {
      if (directory === "context" && dockerfile.ignore) return dockerfile.ignore;
      const step =
        directory === "context" ? "[internal] load .dockerignore" : `[context ${directory}] load .dockerignore`;
      const session = await sessionFor(directory);
      const patterns = await internalStep(listener, step, () => readIgnoreFile({ session, directory, signal }));
      return directory === "context" ? patterns : keepingBuildFiles(patterns, undefined);
    },
    listener,
  });
}
