/** The context of a build as a tar: of a directory without what .dockerignore leaves out, or what comes on stdin. */

import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  type Dirent,
  existsSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { IgnorePatterns, type IgnoreState, keepingBuildFiles, parseIgnoreFile } from "../buildkit/files/ignore.ts";
import { HullError } from "../platform/errors.ts";

export interface BuildContext extends Disposable {
  /** Undefined: the engine fetches it from `remote`. */
  readonly body: AsyncIterable<Uint8Array> | undefined;
  /** "" with a body. */
  readonly remote: string;
  /** The Dockerfile's name in it; "" is the engine's default. */
  readonly dockerfile: string;
}

export interface ContextRequest {
  readonly source: string;
  /** --file; undefined without. */
  readonly file: string | undefined;
  readonly stdin: AsyncIterable<Uint8Array>;
}

const prepare = (message: string): HullError =>
  new HullError("invalid-argument", `unable to prepare context: ${message}`);
const TAR_MAGIC_AT = 257;

const REMOTE = /^(https?:\/\/|git:\/\/|git@|ssh:\/\/|github\.com\/)/;

/** A path that is there is a path. */
export const isRemoteContext = (text: string): boolean => REMOTE.test(text) && !existsSync(text);

/** Throws invalid-argument in docker's words. */
export async function openContext({ source, file, stdin }: ContextRequest): Promise<BuildContext> {
  if (source === "-" && file === "-")
    throw new HullError("invalid-argument", "invalid argument: can't use stdin for both build context and dockerfile");
  if (source === "-") return fromStdin(stdin, file);
  if (isRemoteContext(source)) return fromRemote(source, file);
  const directory = resolve(source);
  const found = statSync(directory, { throwIfNoEntry: false });
  if (!found) throw prepare(`path ${JSON.stringify(source)} not found`);
  if (!found.isDirectory()) throw prepare(`context must be a directory: ${directory}`);
  const root = realpathSync(directory);
  if (file === "-") return withExtraDockerfile(root, await whole(stdin));
  return fromDirectory(root, file);
}

function fromRemote(remote: string, file: string | undefined): BuildContext {
  if (file === "-")
    throw new HullError(
      "unimplemented",
      "a Dockerfile on standard input with a remote context needs BuildKit's protocol: build without DOCKER_BUILDKIT=0",
    );
  return { body: undefined, remote, dockerfile: file ?? "", [Symbol.dispose]: () => {} };
}

function fromDirectory(root: string, file: string | undefined): BuildContext {
  const path = file === undefined ? defaultDockerfile(root) : resolve(file);
  const named = file === undefined || existsSync(path) ? path : join(root, file);
  if (!existsSync(named))
    throw prepare(
      `unable to evaluate symlinks in Dockerfile path: lstat ${file === undefined ? path : named}: no such file or directory`,
    );
  const inside = relative(root, realpathSync(named));
  if (inside === ".." || inside.startsWith("../")) return withExtraDockerfile(root, readFileSync(named));
  return packed(root, { dockerfile: inside, extra: undefined });
}

/** "Dockerfile", else "dockerfile" where only that is there. */
export function defaultDockerfile(root: string): string {
  const path = join(root, "Dockerfile");
  const lower = join(root, "dockerfile");
  return !existsSync(path) && existsSync(lower) ? lower : path;
}

/** The Dockerfile is none of the context's files: it travels under a name that no file has. */
function withExtraDockerfile(root: string, data: Buffer): BuildContext {
  return packed(root, { dockerfile: `.dockerfile.${randomBytes(10).toString("hex")}`, extra: data });
}

interface Packing {
  readonly dockerfile: string;
  readonly extra: Buffer | undefined;
}

function packed(root: string, { dockerfile, extra }: Packing): BuildContext {
  const scratch = extra && mkdtempSync(join(tmpdir(), "hull-build-"));
  if (scratch) writeFileSync(join(scratch, dockerfile), extra);
  const more = scratch ? ["-C", scratch, dockerfile] : [];
  const tar = spawn("tar", [...tarOptions, "-C", root, "--null", "-T", "-", ...more], {
    stdio: ["pipe", "pipe", "pipe"],
  });
  const names = send(tar, root, extra ? "" : dockerfile);
  return {
    dockerfile,
    remote: "",
    body: output(tar, names),
    [Symbol.dispose]: () => {
      tar.kill("SIGKILL");
      if (scratch) rmSync(scratch, { recursive: true, force: true });
    },
  };
}

/** Owners mean nothing to the engine that builds; directories are listed with everything in them already. */
const tarOptions = ["-b1", "-cf", "-", "--format=gnu", "--no-recursion", "--owner=0", "--group=0", "--numeric-owner"];

async function send(tar: ChildProcess, root: string, dockerfile: string): Promise<void> {
  const input = tar.stdin!;
  let broken = false;
  input.on("error", () => {
    broken = true; // It has ended: what it said is the error.
  });
  for await (const name of contextFiles(root, dockerfile)) {
    if (broken) return;
    if (!input.write(`./${name}\0`)) await new Promise((resume) => input.once("drain", resume).once("close", resume));
  }
  input.end();
}

async function* output(tar: ChildProcess, names: Promise<void>): AsyncGenerator<Uint8Array> {
  let said = "";
  tar.stderr!.on("data", (chunk) => {
    said = (said + String(chunk)).slice(-4096);
  });
  const ended = new Promise<number | null>((done, fail) => {
    tar.on("error", fail);
    tar.on("close", (code) => done(code));
  });
  names.catch(() => tar.kill("SIGKILL"));
  yield* joined(tar.stdout as AsyncIterable<Uint8Array>);
  await names;
  const code = await ended;
  // 1: a file changed while it was read, or is a socket.
  if (code !== 0 && code !== 1) throw new HullError("internal", `tar ended with ${code}: ${said.trim()}`);
}

const PIECE_BYTES = 256 * 1024;

/** tar writes small blocks: they travel together. */
async function* joined(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let held: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of source) {
    held.push(part);
    bytes += part.length;
    if (bytes < PIECE_BYTES) continue;
    yield Buffer.concat(held);
    [held, bytes] = [[], 0];
  }
  if (bytes > 0) yield Buffer.concat(held);
}

interface Pending {
  readonly path: string;
  readonly state: IgnoreState | undefined;
}

/** Relative paths of what is sent, directories before what is in them. */
async function* contextFiles(root: string, dockerfile: string): AsyncGenerator<string> {
  const ignored = readIgnored(root, dockerfile);
  const pending: Pending[] = [{ path: "", state: undefined }];
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    const below: Pending[] = [];
    for (const entry of await sortedEntries(join(root, directory.path))) {
      const path = directory.path === "" ? entry.name : `${directory.path}/${entry.name}`;
      const state = ignored.step(path, directory.state);
      if (entry.isSocket()) continue;
      if (!state.ignored) yield path;
      if (entry.isDirectory() && !ignored.skips(path, state)) below.push({ path, state });
    }
    pending.push(...below.reverse());
  }
}

async function sortedEntries(path: string): Promise<Dirent[]> {
  const entries = await readdir(path, { withFileTypes: true });
  return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The Dockerfile and the list itself are always sent: the engine reads them. */
function readIgnored(root: string, dockerfile: string): IgnorePatterns {
  const path = join(root, ".dockerignore");
  if (!existsSync(path)) return new IgnorePatterns([]);
  return new IgnorePatterns(keepingBuildFiles(parseIgnoreFile(readFileSync(path)), dockerfile || undefined));
}

async function whole(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of source) parts.push(part);
  return Buffer.concat(parts);
}

/** A tar in any compression the engine knows, else a Dockerfile. */
async function fromStdin(stdin: AsyncIterable<Uint8Array>, file: string | undefined): Promise<BuildContext> {
  const pieces = stdin[Symbol.asyncIterator]();
  let head: Buffer = Buffer.alloc(0);
  while (head.length < TAR_MAGIC_AT + 5) {
    const { value, done } = await pieces.next();
    if (done) break;
    head = Buffer.concat([head, value]);
  }
  if (isArchive(head)) {
    const body = (async function* () {
      yield head;
      for (let next = await pieces.next(); !next.done; next = await pieces.next()) yield next.value;
    })();
    return { body, remote: "", dockerfile: file ?? "", [Symbol.dispose]: () => {} };
  }
  const rest: Uint8Array[] = [head];
  for (let next = await pieces.next(); !next.done; next = await pieces.next()) rest.push(next.value);
  const empty = mkdtempSync(join(tmpdir(), "hull-build-"));
  const context = withExtraDockerfile(empty, Buffer.concat(rest));
  return {
    ...context,
    [Symbol.dispose]: () => {
      context[Symbol.dispose]();
      rmSync(empty, { recursive: true, force: true });
    },
  };
}

const magics = ["1f8b", "425a68", "fd377a585a00", "28b52ffd"];

export const isArchive = (head: Buffer): boolean =>
  magics.some((magic) => head.toString("hex", 0, magic.length / 2) === magic) ||
  head.toString("latin1", TAR_MAGIC_AT, TAR_MAGIC_AT + 5) === "ustar";
