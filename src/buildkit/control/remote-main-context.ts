/** The main context of a build whose client names a URL, a repository, or a stream that it sends, in the place of a directory. */
import { HullError } from "../../platform/errors.ts";
import { readFileIn } from "../daemon/find-dockerfile.ts";
import type { BuildDownloads } from "../downloads/downloads.ts";
import { shownUrl } from "../downloads/http-request.ts";
import { CONTEXT_FILE, parseGitContext, type RemoteContext, sentContext } from "../downloads/remote-context.ts";
import type { FileTree } from "../files/entry.ts";
import { parseIgnoreFile } from "../files/ignore.ts";
import { Upload } from "../gen/moby/upload/v1/upload_pb.ts";
import type { BuildListener } from "../progress.ts";
import type { ClientDockerfile } from "./client-files.ts";
import { internalStep } from "./internal-step.ts";
import type { Session } from "./session.ts";

export interface RemoteContextRequest {
  readonly url: string;
  readonly session: Session;
  readonly downloads: Pick<BuildDownloads, "context">;
  readonly keepGitDirectory: boolean;
  readonly receive: (body: AsyncIterable<Uint8Array>) => Promise<FileTree>;
  readonly listener: BuildListener;
  readonly signal: AbortSignal;
}

/** Clients that send their context give this URL. */
const SENT = /^http:\/\/buildkit-session(\/[^?#]*)/;

export function loadRemoteContext(request: RemoteContextRequest): Promise<RemoteContext> {
  const { url, session, downloads, keepGitDirectory, receive, listener, signal } = request;
  const name = parseGitContext(url) ? `load git source ${shownUrl(url)}` : "load remote build context";
  return internalStep(listener, `[internal] ${name}`, async () => {
    const path = SENT.exec(url)?.[1];
    if (path === undefined) return downloads.context(url, { keepGitDirectory, signal });
    return sentContext({ body: pulled(session, path, signal), receive });
  });
}

async function* pulled(session: Session, path: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const metadata = { urlpath: path, urlhost: "buildkit-session" };
  const nothing = (async function* () {})();
  for await (const { data } of session.converse(Upload.method.pull, { metadata, signal }, nothing)) yield data;
}

/** In BuildKit's words. */
export async function dockerfileIn(context: RemoteContext, name: string): Promise<ClientDockerfile> {
  if (context.kind === "dockerfile") return { name: CONTEXT_FILE, data: context.data, ignore: undefined };
  const lower = /(^|\/)Dockerfile$/.test(name) ? name.replace(/Dockerfile$/, "dockerfile") : undefined;
  const find = async (path: string | undefined) =>
    path === undefined ? undefined : await readFileIn(context.tree, path.replace(/^(?:\.?\/+)+/, ""));
  const data = (await find(name)) ?? (await find(lower));
  if (!data) throw new HullError("not-found", `failed to read dockerfile: open ${name}: no such file or directory`);
  const ignore = await find(`${name}.dockerignore`);
  return { name, data, ignore: ignore && parseIgnoreFile(ignore, `${name}.dockerignore`) };
}
