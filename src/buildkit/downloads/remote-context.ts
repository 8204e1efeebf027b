/** Contexts that are no directory of the client: a repository, an archive or a Dockerfile behind a URL, what a client sends in one piece. */
import { open } from "node:fs/promises";
import { HullError } from "../../platform/errors.ts";
import type { ContextReceiver } from "../context/receive.ts";
import type { FileTree } from "../files/entry.ts";
import { type GitReference, parseGitReference } from "../graph/git-reference.ts";
import { ARCHIVE_HEAD_BYTES, isArchiveHead } from "../solver/archive.ts";

export type RemoteContext = (
  | { readonly kind: "files"; readonly tree: FileTree }
  /** A Dockerfile alone; the tree has it as "context". */
  | { readonly kind: "dockerfile"; readonly data: Buffer; readonly tree: FileTree }
) & {
  /** Of what was downloaded: "sha256" of a file, "sha1" of a commit, hexadecimal. */
  readonly digest?: Readonly<Record<string, string>>;
};

const MOST_DOCKERFILE_BYTES = 16 * 1024 * 1024;
/** BuildKit's name for what a URL gave. */
export const CONTEXT_FILE = "context";

/** As for ADD, and "github.com/OWNER/NAME", which may be a path elsewhere. */
export function parseGitContext(text: string): GitReference | undefined {
  const short = /^github\.com\/([^?#]+?)(?:\.git)?\/?([?#].*)?$/s.exec(text);
  return parseGitReference(short ? `https://github.com/${short[1]}.git${short[2] ?? ""}` : text);
}

export const isHttpUrl = (text: string): boolean => /^https?:\/\//.test(text) && URL.canParse(text);

/** `path`: of the bytes that the URL of `tree`'s one file gave. */
export async function downloadedContext(
  { path, tree }: { readonly path: string; readonly tree: FileTree },
  { contexts, signal }: { readonly contexts: Pick<ContextReceiver, "receiveFile">; readonly signal: AbortSignal },
): Promise<RemoteContext> {
  await using file = await open(path, "r");
  const { buffer, bytesRead } = await file.read(Buffer.alloc(ARCHIVE_HEAD_BYTES), 0, ARCHIVE_HEAD_BYTES, 0);
  if (isArchiveHead(buffer.subarray(0, bytesRead)))
    return { kind: "files", tree: await contexts.receiveFile(path, signal) };
  const { size } = await file.stat();
  const data = Buffer.alloc(Math.min(size, MOST_DOCKERFILE_BYTES + 1));
  for (let at = 0; at < data.length; ) {
    const part = await file.read(data, at, data.length - at, at);
    if (part.bytesRead === 0) break;
    at += part.bytesRead;
  }
  return { kind: "dockerfile", data: checkedText(data), tree };
}

export interface SentContext {
  readonly body: AsyncIterable<Uint8Array>;
  readonly receive: (body: AsyncIterable<Uint8Array>) => Promise<FileTree>;
}

/** What a client sends as one stream. */
export async function sentContext({ body, receive }: SentContext): Promise<RemoteContext> {
  const pieces = body[Symbol.asyncIterator]();
  const head: Uint8Array[] = [];
  let bytes = 0;
  while (bytes < ARCHIVE_HEAD_BYTES) {
    const { value, done } = await pieces.next();
    if (done) break;
    head.push(value);
    bytes += value.length;
  }
  const rest = (async function* () {
    yield* head;
    for (let next = await pieces.next(); !next.done; next = await pieces.next()) yield next.value;
  })();
  if (isArchiveHead(Buffer.concat(head))) return { kind: "files", tree: await receive(rest) };
  const parts: Uint8Array[] = [];
  let whole = 0;
  for await (const piece of rest) {
    whole += piece.length;
    parts.push(piece);
    if (whole > MOST_DOCKERFILE_BYTES) break;
  }
  const none: FileTree = { entries: [], source: { kind: "layers", directories: [] } };
  return { kind: "dockerfile", data: checkedText(Buffer.concat(parts)), tree: none };
}

function checkedText(data: Buffer): Buffer {
  const bad = (why: string): HullError => new HullError("invalid-argument", `the build context ${why}`);
  if (data.length > MOST_DOCKERFILE_BYTES) throw bad("is no archive, and for a Dockerfile it is too large");
  if (data.length === 0) throw bad("is empty");
  if (data.subarray(0, 8192).includes(0)) throw bad("is neither an archive nor a Dockerfile");
  return data;
}
