/** `POST /build` from its query to the last line of its answer. */
import { familiarReference, type Reference } from "../../oci/reference.ts";
import { HullError } from "../../platform/errors.ts";
import type { FramedSocket } from "../../platform/framed-socket.ts";
import { BODY_IN_FRAMES, BODY_TAKEN, BODY_WHOLE, type BuiltImages } from "../api.ts";
import type { BuildRequest, BuiltImage } from "../build.ts";
import type { ContextBody } from "../context/receive.ts";
import { LiveBuild } from "../control/live-build.ts";
import type { BuildDownloads, DownloadStore } from "../downloads/downloads.ts";
import type { FileTree } from "../files/entry.ts";
import { messageWithAdvice } from "../full-disk.ts";
import { unusedBuildArgsLine } from "../graph/plan-build.ts";
import type { BuildListener } from "../progress.ts";
import type { Secrets } from "../solver/ports.ts";
import type { ImagesFor } from "./base-images.ts";
import { configuredCredentials } from "./classic-credentials.ts";
import { auxLine, errorLine, short, streamLine } from "./classic-lines.ts";
import { tellSteps } from "./classic-progress.ts";
import { type ClassicOptions, parseClassicQuery } from "./classic-request.ts";
import { findDockerfile } from "./find-dockerfile.ts";
import { type ImageBuild, type ImageBuildParts, planImages } from "./image-build.ts";
import { RecordedBuild, type RecordingParts } from "./recorded-build.ts";
import type { BuilderCall } from "./server.ts";
import { VertexLogs } from "./vertex-log.ts";

/** A context that was received; its files stay until it is disposed of. */
export interface ReceivedContext extends AsyncDisposable {
  readonly tree: FileTree;
}

export interface ClassicParts extends ImageBuildParts, RecordingParts {
  /** Takes the body of a build, a tar in any compression, into the store of contexts. Waits its turn. */
  readonly receive: (body: ContextBody, options: { build: string; signal: AbortSignal }) => Promise<ReceivedContext>;
  readonly images: ImagesFor;
  readonly downloads: Pick<DownloadStore, "open">;
  /** Stores the image and gives it its names; Docker's id. */
  readonly write: (image: BuiltImage, tags: readonly Reference[], signal: AbortSignal) => Promise<string>;
  /** For what waits to be told. */
  readonly scratch: string;
}

export interface ClassicCall extends BuilderCall {
  /** Unique among the builds of this daemon. */
  readonly id: string;
}

/** Throws before its answer has begun; afterwards what went wrong is its last line. */
export async function classicBuild(parts: ClassicParts, call: ClassicCall): Promise<void> {
  const options = parseClassicQuery(call.request.query);
  const live = new LiveBuild({ ref: call.id, sessionId: "", entitlements: [] }, parts.scratch);
  const parent = call.span.context;
  const recorded = new RecordedBuild(parts, live, {
    attributes: attributesOf(options),
    exporters: [],
    parent,
    internal: false,
  });
  let ended: Ended = { failure: undefined, response: {} };
  try {
    ended = await buildAndAnswer(parts, call, { options, live });
  } catch (error) {
    ended = { failure: error, response: {} };
    throw error;
  } finally {
    recorded.end(ended.failure, ended.response);
  }
}

interface Ended {
  /** undefined: it went well. */
  readonly failure: unknown;
  readonly response: Readonly<Record<string, string>>;
}

/** As far as the history shows them, by their names in BuildKit's protocol. */
const attributesOf = ({ target, dockerfile, remote, buildArgs, labels, noCache, platform }: ClassicOptions) => ({
  filename: dockerfile || "Dockerfile",
  ...(remote !== "" && { context: remote }),
  ...(target !== "" && { target }),
  ...(platform !== "" && { platform }),
  ...(noCache && { "no-cache": "" }),
  ...Object.fromEntries(Object.entries(buildArgs).map(([name, value]) => [`build-arg:${name}`, value])),
  ...Object.fromEntries(Object.entries(labels).map(([name, value]) => [`label:${name}`, value])),
});

type Recorded = { readonly options: ClassicOptions; readonly live: LiveBuild };

/** Throws before its answer has begun; afterwards what went wrong is its last line, and the failure. */
async function buildAndAnswer(parts: ClassicParts, call: ClassicCall, { options, live }: Recorded): Promise<Ended> {
  const { connection, signal } = call;
  await using logs = new VertexLogs(parts.scratch);
  const listener: BuildListener = (event) => {
    logs.listen(event);
    live.listen(event);
  };
  const { buildArgs } = options;
  const downloads = parts.downloads.open({ secrets: noSecrets, listener, buildArgs });
  await using context = await contextOf(parts, call, { remote: options.remote, downloads });
  const { name, data, tree } = context.dockerfile
    ? { name: "Dockerfile", data: context.dockerfile, tree: context.tree }
    : await findDockerfile(context.tree, options.dockerfile);
  const asked = buildRequest(parts, call, { options, dockerfile: { name, data }, tree, live, listener, downloads });
  await using build = await planImages(parts, asked);
  const answer = new ClassicAnswer(connection, options.quiet);
  let built: BuiltImages = { built: [] };
  let failure: unknown;
  try {
    const { id, tags } = await run(parts, build, { options, logs, answer, signal });
    built = { built: [{ id, tags }] };
  } catch (error) {
    failure = signal.aborted ? (signal.reason as unknown) : error;
    await answer.fail(failure);
  }
  await connection.writeEnd();
  await connection.writeLine(built);
  return { failure, response: Object.fromEntries(built.built.map(({ id }) => ["containerimage.config.digest", id])) };
}

/** Fetched here where the client names a URL, else what it sends. */
async function contextOf(
  parts: ClassicParts,
  call: ClassicCall,
  { remote, downloads }: { readonly remote: string; readonly downloads: BuildDownloads },
): Promise<ReceivedContext & { readonly dockerfile?: Buffer }> {
  const { signal } = call;
  if (remote === "") return parts.receive(bodyOf(call), { build: call.id, signal });
  // As dockerd does, which packs the whole clone.
  const keepGitDirectory = !/#[^:]*:./.test(remote);
  const fetched = await downloads.context(remote, { keepGitDirectory, signal });
  const nothing = { [Symbol.asyncDispose]: async () => {} };
  if (fetched.kind === "files") return { tree: fetched.tree, ...nothing };
  return { tree: { ...fetched.tree, entries: [] }, dockerfile: fetched.data, ...nothing };
}

/** As hulld can give it. */
function bodyOf({ connection, request: { upload } }: ClassicCall): ContextBody {
  if (!upload) return { body: connection };
  const say = (status: number, message = "") => connection.writeLine({ status, message });
  async function* inFrames(): AsyncGenerator<Buffer> {
    await say(BODY_IN_FRAMES);
    yield* connection;
  }
  async function* taken(): AsyncGenerator<Buffer> {
    await say(BODY_TAKEN);
    yield* connection;
  }
  return { body: inFrames(), upload: { at: upload, taken, whole: (rest) => say(BODY_WHOLE, String(rest)) } };
}

interface Running {
  readonly options: ClassicOptions;
  readonly logs: VertexLogs;
  readonly answer: ClassicAnswer;
  readonly signal: AbortSignal;
}

async function run(
  parts: ClassicParts,
  build: ImageBuild,
  { options, logs, answer, signal }: Running,
): Promise<{ readonly id: string; readonly tags: readonly string[] }> {
  const platform = build.plan.platforms[0]!;
  const solved = build.finish().finally(() => logs.finish());
  const told = tellSteps({
    steps: platform.steps,
    logs,
    removes: options.removes,
    idOf: ({ stage, entries }) => build.stepImage(platform, stage, entries),
    send: (text) => answer.send(text),
  });
  // Both end whatever happens to the other: a failed build is told as far as it came, and a client that has gone aborts the build.
  const [images, telling] = await Promise.allSettled([solved, told]);
  if (images.status === "rejected") throw images.reason;
  if (telling.status === "rejected") throw telling.reason;
  const unused = unusedBuildArgsLine(build.plan);
  if (unused !== "") await answer.send(streamLine(`${unused}\n`));
  const id = await parts.write(images.value[0]!, options.tags, signal);
  const tags = options.tags.map(familiarReference);
  await answer.send(auxLine(id));
  await answer.send(streamLine(`Successfully built ${short(id)}\n`));
  for (const tag of tags) await answer.send(streamLine(`Successfully tagged ${tag}\n`));
  await answer.succeed(id);
  return { id, tags };
}

/** The response: begun by its first line; with -q nothing but the id, or what went before a failure. */
class ClassicAnswer {
  #begun = false;
  readonly #held: string[] = [];

  constructor(
    private readonly connection: FramedSocket,
    private readonly quiet: boolean,
  ) {}

  async send(text: string): Promise<void> {
    if (this.quiet) this.#held.push(text);
    else await this.#put(text);
  }

  async succeed(id: string): Promise<void> {
    if (this.quiet) await this.#put(streamLine(`${id}\n`));
  }

  /** The failure as the answer's last line, or thrown when nothing has been said. */
  async fail(error: unknown): Promise<void> {
    if (this.quiet) for (const text of this.#held.splice(0)) await this.#put(text);
    if (!this.#begun) throw error;
    const { message, code } = failureOf(error);
    await this.#put(errorLine(message, code));
  }

  async #put(text: string): Promise<void> {
    if (!this.#begun) await this.connection.writeLine({ status: 200, message: "" });
    this.#begun = true;
    await this.connection.write(Buffer.from(text));
  }
}

/** A command's exit code is the client's too. */
function failureOf(error: unknown): { readonly message: string; readonly code: number | undefined } {
  const code = error instanceof HullError ? error.facts.exitCode : undefined;
  return { message: messageWithAdvice(error), code: typeof code === "number" ? code : undefined };
}

const noSecrets: Secrets = { secret: async () => undefined, sshAgent: async () => undefined };

interface Given {
  readonly options: ClassicOptions;
  readonly dockerfile: BuildRequest["dockerfile"];
  readonly tree: FileTree;
  readonly live: LiveBuild;
  readonly listener: BuildListener;
  readonly downloads: BuildDownloads;
}

function buildRequest(parts: ClassicParts, { id, request, signal }: ClassicCall, given: Given): BuildRequest {
  const { options, dockerfile, tree, live, listener, downloads } = given;
  const { target, buildArgs, labels, noCache, pull, network, extraHosts, limits } = options;
  return {
    id,
    dialect: "classic",
    dockerfile,
    ...{ target, buildArgs, labels, noCache, pull, network, extraHosts, limits },
    platforms: options.platform === "" ? [] : [options.platform],
    noCacheFilter: [],
    namedContexts: {},
    entitlements: [],
    contexts: { tree: async () => tree },
    ignored: async () => [], // What the client left out, it does not say.
    downloads,
    secrets: noSecrets,
    images: parts.images({ credentials: configuredCredentials(request.registryConfig), signal }),
    layouts: { load: () => Promise.reject(new HullError("internal", "the classic protocol has no named contexts")) },
    listener,
    project: JSON.stringify(["classic", dockerfile.name, options.tags.map(familiarReference)]),
    onExplained: (explanation) => live.observer?.onExplained(explanation),
    spanOf: (id) => live.observer?.spanOf(id),
    signal,
  };
}
