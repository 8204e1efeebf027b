/** Where a build's files are: the context's directory, the Dockerfile's, those of --build-context; what comes on stdin gets one of its own. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { HullError } from "../../platform/errors.ts";
import { defaultDockerfile, isArchive } from "../build-context.ts";

export interface BuildSource extends Disposable {
  readonly context: string;
  /** The directory of the Dockerfile, and its name in it. */
  readonly dockerfileDirectory: string;
  readonly dockerfile: string;
  /** Named contexts: directories, and what the daemon fetches itself. */
  readonly named: ReadonlyMap<string, NamedContext>;
}

export type NamedContext =
  | { readonly kind: "directory"; readonly path: string }
  | { readonly kind: "reference"; readonly text: string };

export interface SourceRequest {
  readonly source: string;
  readonly file: string | undefined;
  readonly namedContexts: readonly string[];
  readonly stdin: () => AsyncIterable<Uint8Array>;
}

const invalid = (message: string): HullError => new HullError("invalid-argument", message);
const prepare = (message: string): HullError => invalid(`unable to prepare context: ${message}`);
const REMOTE = /^(https?:\/\/|git:\/\/|git@|ssh:\/\/|github\.com\/)/;

/** Throws invalid-argument in docker's words. */
export async function openSource(request: SourceRequest): Promise<BuildSource> {
  const { source, file } = request;
  const named = new Map(request.namedContexts.map(namedContext));
  if (source === "-" && file === "-")
    throw invalid("invalid argument: can't use stdin for both build context and dockerfile");
  if (REMOTE.test(source) && !existsSync(source))
    throw new HullError(
      "unimplemented",
      `unable to prepare context: building from ${source} is not available yet: clone or download it first`,
    );
  if (source === "-") return fromStdin(request, named);
  const context = directoryAt(source);
  if (file !== "-") return { ...dockerfileIn(context, file), context, named, [Symbol.dispose]: () => {} };
  using cleanup = new DisposableStack();
  const scratch = scratchDirectory(cleanup);
  writeFileSync(join(scratch, "Dockerfile"), await whole(request.stdin()));
  return { context, dockerfileDirectory: scratch, dockerfile: "Dockerfile", named, ...moved(cleanup) };
}

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
  const isReference = /^(docker-image|oci-layout|target|input):/.test(value) || REMOTE.test(value);
  if (isReference) return [name, { kind: "reference", text: value }];
  const path = resolve(value);
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory())
    throw invalid(`failed to get build context ${name}: stat ${value}: no such file or directory`);
  return [name, { kind: "directory", path: realpathSync(path) }];
}

const TAR_HEAD_BYTES = 262;

/** A tar in any compression that tar knows, else a Dockerfile without a context. */
async function fromStdin({ stdin, file }: SourceRequest, named: BuildSource["named"]): Promise<BuildSource> {
  using cleanup = new DisposableStack();
  const scratch = scratchDirectory(cleanup);
  const context = join(scratch, "context");
  mkdirSync(context);
  const pieces = stdin()[Symbol.asyncIterator]();
  let head: Buffer = Buffer.alloc(0);
  while (head.length < TAR_HEAD_BYTES) {
    const { value, done } = await pieces.next();
    if (done) break;
    head = Buffer.concat([head, value]);
  }
  if (isArchive(head)) {
    await unpack(context, head, pieces);
    const name = file ?? "Dockerfile";
    return { context, dockerfileDirectory: context, dockerfile: name, named, ...moved(cleanup) };
  }
  const parts: Uint8Array[] = [head];
  for (let next = await pieces.next(); !next.done; next = await pieces.next()) parts.push(next.value);
  writeFileSync(join(scratch, "Dockerfile"), Buffer.concat(parts));
  return { context, dockerfileDirectory: scratch, dockerfile: "Dockerfile", named, ...moved(cleanup) };
}

const compressions: Readonly<Record<string, string>> = { "1f8b": "-z", "425a": "-j", fd37: "-J", "28b5": "--zstd" };

async function unpack(directory: string, head: Buffer, pieces: AsyncIterator<Uint8Array>): Promise<void> {
  const compression = compressions[head.toString("hex", 0, 2)];
  const options = ["-x", "-f", "-", "--no-same-owner", "-p", "-C", directory, ...(compression ? [compression] : [])];
  const tar = spawn("tar", options, { stdio: ["pipe", "ignore", "pipe"] });
  let said = "";
  tar.stderr.on("data", (chunk) => {
    said = (said + String(chunk)).slice(-4096);
  });
  const ended = new Promise<number | null>((done, fail) => void tar.on("error", fail).on("close", done));
  let isOpen = true;
  tar.stdin.on("error", () => {
    isOpen = false; // It has ended: what it said is the error.
  });
  tar.stdin.write(head);
  for (let next = await pieces.next(); !next.done && isOpen; next = await pieces.next())
    if (!tar.stdin.write(next.value))
      await new Promise((resume) => tar.stdin.once("drain", resume).once("close", resume));
  tar.stdin.end();
  if ((await ended) !== 0) throw invalid(`the build context on standard input is no archive: ${said.trim()}`);
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
