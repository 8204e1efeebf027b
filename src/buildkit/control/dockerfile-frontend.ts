/** The Dockerfile frontend on a client's session: options and directories of the client in, images out. */
import { formatReference, parseReference, withDefaultTag } from "../../oci/reference.ts";
import type { BaseImages, BuildRequest, BuiltImage } from "../build.ts";
import type { ImagesFor } from "../daemon/base-images.ts";
import { type ImageBuild, type ImageBuildParts, planImages } from "../daemon/image-build.ts";
import type { LayoutImages } from "../daemon/layout-images.ts";
import { answerRequest, type RequestAnswer } from "../daemon/sub-requests.ts";
import type { BuildDownloads, DownloadStore } from "../downloads/downloads.ts";
import type { RemoteContext } from "../downloads/remote-context.ts";
import { type ToldDownloads, toldMaterials } from "../downloads/told-materials.ts";
import type { FileTree } from "../files/entry.ts";
import { keepingBuildFiles } from "../files/ignore.ts";
import type { BuildListener } from "../progress.ts";
import type { Secrets } from "../solver/ports.ts";
import { type AccountParts, withAccounts } from "./build-account.ts";
import { buildFailure } from "./build-failure.ts";
import { sessionCredentials } from "./client-credentials.ts";
import { type ClientDockerfile, readDockerfile, readIgnoreFile } from "./client-files.ts";
import { clientLayouts } from "./client-layouts.ts";
import { clientSecrets } from "./client-secrets.ts";
import { type FrontendOptions, parseFrontendAttributes } from "./frontend-attributes.ts";
import { internalStep, stepId } from "./internal-step.ts";
import type { LiveBuild } from "./live-build.ts";
import { dockerfileIn, loadRemoteContext } from "./remote-main-context.ts";
import type { Session, Sessions } from "./session.ts";
import { type ContextStore, syncedContexts } from "./synced-contexts.ts";

export interface FrontendParts extends ImageBuildParts {
  readonly sessions: Sessions;
  readonly contexts: ContextStore;
  readonly images: ImagesFor;
  readonly downloads: Pick<DownloadStore, "open">;
  readonly layouts: Pick<LayoutImages, "load">;
  /** Takes a tar in any compression into the store of contexts. Waits its turn. */
  readonly receive: (
    body: { readonly body: AsyncIterable<Uint8Array> },
    options: { readonly build: string; readonly signal: AbortSignal },
  ) => Promise<{ readonly tree: FileTree }>;
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
  /** What a sub-request answers, in the place of images. */
  readonly answer: RequestAnswer | undefined;
}

/** Its disposal lets go of the images' layers. */
export async function buildDockerfile(parts: FrontendParts, call: FrontendCall): Promise<FrontendResult> {
  const options = parseFrontendAttributes(call.attributes);
  const { live, signal } = call;
  const startedMs = Date.now();
  const session = await parts.sessions.get(live.sessionId, signal);
  const secrets = clientSecrets(session, parts.scratch);
  const downloads = parts.downloads.open({ secrets, listener: live.listen, buildArgs: options.buildArgs });
  const remote = await remoteContext(parts, call, { options, session, downloads });
  const loaded: Loaded = { options, session, secrets, downloads, remote };
  const dockerfile = await loadDockerfile(parts, call, loaded);
  live.source = { file: dockerfile.name, data: dockerfile.data };
  const told = toldMaterials(downloads);
  const request = buildRequest(parts, call, { ...loaded, dockerfile, told });
  try {
    const { attributes } = call;
    const { contextUrl } = options;
    const account = { request, attributes, contextUrl, remote, downloads: told.materials, startedMs };
    if (options.request === "") return await buildImages(parts, account, options);
    const answer = await answerRequest(options.request, request);
    return { images: [], multiPlatform: false, answer, [Symbol.asyncDispose]: async () => {} };
  } catch (error) {
    throw buildFailure(error, live.source);
  }
}

async function buildImages(
  parts: FrontendParts,
  account: AccountParts,
  { multiPlatform }: FrontendOptions,
): Promise<FrontendResult> {
  const build: ImageBuild = await planImages(parts, account.request);
  try {
    const images = withAccounts(await build.finish(), account);
    return { images, multiPlatform, answer: undefined, [Symbol.asyncDispose]: () => build[Symbol.asyncDispose]() };
  } catch (error) {
    await build[Symbol.asyncDispose]();
    throw error;
  }
}

interface Opened {
  readonly options: FrontendOptions;
  readonly session: Session;
  readonly downloads: BuildDownloads;
}

interface Loaded extends Opened {
  readonly secrets: Secrets;
  /** In the place of the client's directory "context". */
  readonly remote: RemoteContext | undefined;
}

async function remoteContext(
  parts: FrontendParts,
  { live, signal }: FrontendCall,
  { options, session, downloads }: Opened,
): Promise<RemoteContext | undefined> {
  if (options.contextUrl === "") return undefined;
  return loadRemoteContext({
    ...{ url: options.contextUrl, session, downloads, listener: live.listen, signal },
    keepGitDirectory: isTrue(options.buildArgs.BUILDKIT_CONTEXT_KEEP_GIT_DIR ?? ""),
    receive: async (body) => (await parts.receive({ body }, { build: live.ref, signal })).tree,
  });
}

const isTrue = (text: string): boolean => /^(?:1|t|true)$/i.test(text);

/** The session that has a directory: the build's own, or one that the client names. */
const sessionOf = (parts: FrontendParts, { options, session }: Opened, directory: string, signal: AbortSignal) => {
  const named = options.sessions[directory];
  return named === undefined ? Promise.resolve(session) : parts.sessions.get(named, signal);
};

async function loadDockerfile(
  parts: FrontendParts,
  { live, signal }: FrontendCall,
  loaded: Loaded,
): Promise<ClientDockerfile> {
  const { fileName, dockerfileDirectory } = loaded.options;
  if (loaded.remote && dockerfileDirectory === "") return dockerfileIn(loaded.remote, fileName);
  const session = await sessionOf(parts, loaded, "dockerfile", signal);
  const name = definitionStep(fileName);
  return internalStep(live.listen, name, async (step) => {
    const found = await readDockerfile({ session, signal }, fileName);
    step.transferred("dockerfile", found.data.length);
    return found;
  });
}

/** The same Dockerfile of the same client's directory. */
const projectOf = ({ session, options, dockerfile }: Given): string =>
  JSON.stringify([session.facts.sharedKey, options.contextUrl, options.sharedKeys.context ?? "", dockerfile.name]);

const definitionStep = (fileName: string): string => `[internal] load build definition from ${fileName}`;

/** Warnings that belong to no vertex are the Dockerfile's. */
function withPlace(listener: BuildListener, fileName: string): BuildListener {
  const id = stepId(definitionStep(fileName));
  return (event) => listener(event.kind === "warning" && event.id === "" ? { ...event, id } : event);
}

interface Given extends Loaded {
  readonly dockerfile: ClientDockerfile;
  readonly told: ToldDownloads;
}

function buildRequest(parts: FrontendParts, call: FrontendCall, given: Given): BuildRequest {
  const { live, signal, entitlements } = call;
  const { options, session, dockerfile, secrets, told } = given;
  const { target, buildArgs, labels, noCache, noCacheFilter, pull, network, extraHosts, limits, hostname } = options;
  const ignored = ignoredOnce(parts, call, given);
  const images = parts.images({ credentials: sessionCredentials(session, signal), signal });
  return {
    id: live.ref,
    dialect: "buildkit",
    dockerfile: { name: dockerfile.name, data: dockerfile.data },
    ...{ target, buildArgs, labels, noCache, noCacheFilter, pull, network, extraHosts, limits, hostname, entitlements },
    platforms: options.platforms,
    namedContexts: options.namedContexts,
    contexts: contextsOf(parts, call, { ...given, ignored }),
    ignored: () => ignored("context"),
    ...{ downloads: told.downloads, secrets },
    images: toldImages(images, live.listen),
    layouts: clientLayouts({ ...parts, images, session, listener: live.listen, signal }),
    listener: withPlace(live.listen, dockerfile.name),
    project: projectOf(given),
    onExplained: (explanation) => live.observer?.onExplained(explanation),
    spanOf: (id) => live.observer?.spanOf(id),
    signal,
  };
}

/** What is left out of a directory of the client, by its name; each ignore file is asked for once. */
function ignoredOnce(parts: FrontendParts, { live, signal }: FrontendCall, given: Given) {
  const known = new Map<string, Promise<readonly string[]>>();
  const load = async (directory: string): Promise<readonly string[]> => {
    // Of what is fetched nothing is left out, as in BuildKit.
    if (directory === "context" && given.remote) return [];
    if (directory === "context" && given.dockerfile.ignore) return given.dockerfile.ignore;
    const name =
      directory === "context" ? "[internal] load .dockerignore" : `[context ${directory}] load .dockerignore`;
    const session = await sessionOf(parts, given, directory, signal);
    return internalStep(live.listen, name, async (step) => {
      const { patterns, bytes } = await readIgnoreFile({ session, directory, signal });
      step.transferred("context", bytes);
      return directory === "context" ? patterns : keepingBuildFiles(patterns, undefined);
    });
  };
  return (directory: string): Promise<readonly string[]> => {
    const found = known.get(directory) ?? load(directory);
    found.catch(() => undefined); // Told to those that wait for it.
    known.set(directory, found);
    return found;
  };
}

type IgnoredDirectories = { readonly ignored: ReturnType<typeof ignoredOnce> };

function contextsOf(
  parts: FrontendParts,
  { live, signal }: FrontendCall,
  given: Given & IgnoredDirectories,
): BuildRequest["contexts"] {
  const { remote } = given;
  const synced = syncedContexts({
    store: parts.contexts,
    build: live.ref,
    sessionOf: (directory) => sessionOf(parts, given, directory, signal),
    keyOf: (directory, session) =>
      JSON.stringify([session.facts.sharedKey, given.options.sharedKeys[directory] ?? "", directory]),
    ignored: given.ignored,
    listener: live.listen,
  });
  if (!remote) return synced;
  return { tree: async (vertex, signal) => (vertex.context === "context" ? remote.tree : synced.tree(vertex, signal)) };
}

/** Looked up in steps of their own, one per image and platform. */
const toldImages = (images: BaseImages, listener: BuildListener): BaseImages => ({
  resolve: (reference, options) => {
    const name = `[internal] load metadata for ${fullName(reference)}`;
    return internalStep(listener, name, () => images.resolve(reference, options), options.platform);
  },
});

/** "docker.io/library/busybox:latest"; an image's id is no name. */
function fullName(reference: string): string {
  try {
    return formatReference(withDefaultTag(parseReference(reference)));
  } catch {
    return reference;
  }
}
