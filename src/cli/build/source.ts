/** Where a build's files are: the context's directory, the Dockerfile's, those of --build-context; what comes on stdin gets one of its own. */
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { HullError } from "../../platform/errors.ts";
import { defaultDockerfile, isArchive, isRemoteContext } from "../build-context.ts";
import { type OciLayout, openOciLayout } from "./oci-layouts.ts";

export type MainContext =
  | { readonly kind: "directory"; readonly path: string }
  /** The daemon fetches it: an archive, a Dockerfile, a repository. */
  | { readonly kind: "remote"; readonly url: string }
  /** An archive that is sent as it comes. */
  | { readonly kind: "sent"; readonly id: string; readonly body: AsyncIterable<Uint8Array> };

export interface BuildSource extends Disposable {
  readonly context: MainContext;
  /** The directory of the Dockerfile; undefined: it is in the context. */
  readonly dockerfileDirectory: string | undefined;
  /** Its name there. */
  readonly dockerfile: string;
  /** Named contexts: directories, and what the daemon fetches itself. */
  readonly named: ReadonlyMap<string, NamedContext>;
}

export type NamedContext =
  | { readonly kind: "directory"; readonly path: string }
  | { readonly kind: "reference"; readonly text: string }
  | { readonly kind: "layout"; readonly layout: OciLayout };

export interface SourceRequest {
  readonly source: string;
  readonly file: string | undefined;
  readonly namedContexts: readonly string[];
  readonly stdin: () => AsyncIterable<Uint8Array>;
}

const invalid = (message: string): HullError => new HullError("invalid-argument", message);
const prepare = (message: string): HullError => invalid(`unable to prepare context: ${message}`);

/** Throws invalid-argument in docker's words. */
export async function openSource(request: SourceRequest): Promise<BuildSource> {
  const { source, file } = request;
  const named = new Map(request.namedContexts.map(namedContext));
  if (source === "-" && file === "-")
    throw invalid("invalid argument: can't use stdin for both build context and dockerfile");
  if (source === "-") return fromStdin(request, named);
  const isRemote = isRemoteContext(source);
  const context: MainContext = isRemote
    ? { kind: "remote", url: source }
    : { kind: "directory", path: directoryAt(source) };
  if (file !== "-") {
    const dockerfile = context.kind === "directory" ? dockerfileIn(context.path, file) : dockerfileBeside(file);
    return { ...dockerfile, context, named, [Symbol.dispose]: () => {} };
  }
  using cleanup = new DisposableStack();
  const scratch = scratchDirectory(cleanup);
  writeFileSync(join(scratch, "Dockerfile"), await whole(request.stdin()));
  return { context, dockerfileDirectory: scratch, dockerfile: "Dockerfile", named, ...moved(cleanup) };
}

/** Of a context elsewhere: an absolute path is one here. */
const dockerfileBeside = (file: string | undefined) =>
  file !== undefined && isAbsolute(file)
    ? { dockerfileDirectory: dirname(file), dockerfile: basename(file) }
    : { dockerfileDirectory: undefined, dockerfile: file ?? "Dockerfile" };

function directoryAt(source: string): string {
  const path = resolve(source);
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found) throw prepare(`path ${JSON.stringify(source)} not found`);
  if (!found.isDirectory()) throw prepare(`context must be a directory: ${path}`);
  return realpathSync(path);
}

/** A name is looked for from where the command runs, as docker does; the file may lie anywhere. */
function dockerfileIn(context: string, file: string | undefined) {
  const path = file === undefined ? defaultDockerfile(context) : resolve(file);
  return { dockerfileDirectory: dirname(path), dockerfile: basename(path) };
}

function namedContext(spec: string): [string, NamedContext] {
  const equals = spec.indexOf("=");
  if (equals < 1) throw invalid(`invalid context value: ${spec}, expected key=value`);
  const [name, value] = [spec.slice(0, equals), spec.slice(equals + 1)];
  const layout = openOciLayout(value);
  if (layout) return [name, { kind: "layout", layout }];
  const isReference = /^(docker-image|target|input):/.test(value) || isRemoteContext(value);
  if (isReference) return [name, { kind: "reference", text: value }];
  const path = resolve(value);
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory())
    throw invalid(`failed to get build context ${name}: stat ${value}: no such file or directory`);
  return [name, { kind: "directory", path: realpathSync(path) }];
}

const TAR_HEAD_BYTES = 262;

/** A tar in any compression that the daemon knows is sent as it is; anything else is a Dockerfile without a context. */
async function fromStdin({ stdin, file }: SourceRequest, named: BuildSource["named"]): Promise<BuildSource> {
  using cleanup = new DisposableStack();
  const pieces = stdin()[Symbol.asyncIterator]();
  let head: Buffer = Buffer.alloc(0);
  while (head.length < TAR_HEAD_BYTES) {
    const { value, done } = await pieces.next();
    if (done) break;
    head = Buffer.concat([head, value]);
  }
  const body = joined(head, pieces);
  if (isArchive(head)) {
    const context: MainContext = { kind: "sent", id: randomBytes(13).toString("hex"), body };
    const dockerfile = file ?? "Dockerfile";
    return { context, dockerfileDirectory: undefined, dockerfile, named, [Symbol.dispose]: () => {} };
  }
  if (file !== undefined) throw invalid("ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles");
  const scratch = scratchDirectory(cleanup);
  const empty = join(scratch, "context");
  mkdirSync(empty);
  writeFileSync(join(scratch, "Dockerfile"), await whole(body));
  const context: MainContext = { kind: "directory", path: empty };
  return { context, dockerfileDirectory: scratch, dockerfile: "Dockerfile", named, ...moved(cleanup) };
}

async function* joined(head: Uint8Array, rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield head;
  for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
}

function scratchDirectory(cleanup: DisposableStack): string {
  const path = mkdtempSync(join(tmpdir(), "hull-build-"));
  cleanup.defer(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function moved(cleanup: DisposableStack): Disposable {
  const owned = cleanup.move();
  return { [Symbol.dispose]: () => owned.dispose() };
}

async function whole(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of source) parts.push(part);
  return Buffer.concat(parts);
}
