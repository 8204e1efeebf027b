/**
 * `cp`: the local side is packed and unpacked by the system's tar, which knows every kind of file; the container's side
 * is the engine's archive API. Rules for the names are docker's (cp.md: directory or file, trailing slash, `/.`).
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, lstatSync, readlinkSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { HullError } from "../platform/errors.ts";
import type { HttpResponse } from "../platform/http-client.ts";
import type { Session } from "./session.ts";
import { write } from "./streams/output.ts";

export interface CopyFrom {
  readonly container: string;
  readonly path: string;
  /** A local path, or "-": the tar goes to stdout. */
  readonly target: string;
  readonly followLink: boolean;
}

export interface CopyTo {
  readonly container: string;
  readonly path: string;
  /** A local path, or "-": a tar from stdin. */
  readonly source: string;
  readonly followLink: boolean;
  readonly keepOwners: boolean;
}

interface PathStat {
  readonly name: string;
  readonly mode: number;
  readonly linkTarget: string;
}

/** Go's os.FileMode bits. */
const GO_DIRECTORY = 2 ** 31;
const GO_SYMLINK = 2 ** 27;
const hasBit = (mode: number, bit: number): boolean => Math.floor(mode / bit) % 2 === 1;

/** Returns how many bytes of archive came. */
export async function copyFrom(session: Session, copy: CopyFrom): Promise<number> {
  if (copy.target !== "-") refuseOutput(copy.target);
  let { path } = copy;
  if (copy.followLink) {
    const stat = await statPath(session, copy.container, path);
    if (stat && hasBit(stat.mode, GO_SYMLINK)) path = resolve(dirname(path), stat.linkTarget);
  }
  // The root has no name of its own: what is copied is its contents.
  if (resolve("/", path) === "/") path = "/.";
  const response = await session.call({ path: `/containers/${copy.container}/archive`, query: { path } });
  if (copy.target === "-") {
    for await (const chunk of response.body) await write("stdout", chunk);
    return 0;
  }
  const stat = decodeStat(response.header("x-docker-container-path-stat"));
  const isDirectory = stat !== undefined && hasBit(stat.mode, GO_DIRECTORY);
  const contents = path.endsWith("/.");
  const place = localPlace(copy.target, { sourceName: basename(copy.path), isDirectory, contents });
  const archived = contents ? "." : basename(path);
  const renamed = place.name === archived ? [] : rename(archived, place.name);
  return await unpack(response, ["-C", place.directory, "-xf", "-", "--no-same-owner", ...renamed]);
}

/** Members below `from`, and the hard links that point to them, go below `to`; targets of symbolic links stay as they are. */
const rename = (from: string, to: string): string[] => [
  "--transform",
  `flags=rSh;s|^${escapeForSed(from)}\\(/\\|$\\)|${escapeForSed(to)}\\1|`,
];

/** What docker says before it asks the engine. */
function refuseOutput(target: string): void {
  const parent = dirname(resolve(target));
  if (!existsSync(parent))
    throw new HullError("not-found", `invalid output path: directory ${JSON.stringify(parent)} does not exist`);
}

interface LocalPlace {
  readonly directory: string;
  readonly name: string;
}

interface Copied {
  readonly sourceName: string;
  readonly isDirectory: boolean;
  readonly contents: boolean;
}

/** Where the copy lands: below an existing directory, or under the given name. Refuses what docker refuses. */
function localPlace(target: string, source: Copied): LocalPlace {
  const exists = existsSync(target);
  const targetIsDirectory = exists && statSync(target).isDirectory();
  if (exists && !targetIsDirectory && source.isDirectory)
    throw new HullError("invalid-argument", "cannot copy directory");
  if (!exists && target.endsWith("/") && !source.isDirectory)
    throw new HullError("invalid-argument", "no such directory");
  if (targetIsDirectory && !source.contents) return { directory: resolve(target), name: source.sourceName };
  if (targetIsDirectory) return { directory: resolve(target), name: "." };
  return { directory: dirname(resolve(target)), name: basename(resolve(target)) };
}

const escapeForSed = (text: string): string => text.replace(/[.[\]*^$|\\&]/g, (letter) => `\\${letter}`);

async function unpack(response: HttpResponse, args: readonly string[]): Promise<number> {
  const tar = spawn("tar", args, { stdio: ["pipe", "ignore", "pipe"] });
  const ended = endOf(tar);
  const counter = new ByteCounter();
  // A tar that fails closes its end: what it said is the error then.
  const sent = pipeline(response.body, counter.count, tar.stdin);
  await Promise.all([ended, sent.catch(() => ended)]);
  return counter.bytes;
}

/** A stage of a pipeline that counts what goes through it. */
class ByteCounter {
  bytes = 0;

  readonly count = async function* (this: ByteCounter, source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of source) {
      this.bytes += chunk.length;
      yield chunk;
    }
  }.bind(this);
}

/** Settles when tar ends; a failure carries what it said. */
function endOf(tar: ChildProcess): Promise<void> {
  return new Promise((done, fail) => {
    let said = "";
    tar.stderr?.on("data", (chunk) => {
      said += chunk;
    });
    tar.on("error", fail);
    tar.on("close", (code) =>
      code === 0 ? done() : fail(new HullError("internal", `tar ended with ${code}: ${said.trim()}`)),
    );
  });
}

/** Returns how many bytes of archive went. */
export async function copyTo(session: Session, copy: CopyTo): Promise<number> {
  const put = (path: string, body: AsyncIterable<Uint8Array>) =>
    session.call({
      method: "PUT",
      path: `/containers/${copy.container}/archive`,
      query: { path, noOverwriteDirNonDir: true, ...(copy.keepOwners ? { copyUIDGID: true } : {}) },
      headers: { "Content-Type": "application/x-tar" },
      body,
    });
  const remote = await followedStat(session, copy.container, copy.path);
  if (copy.source === "-") {
    if (remote && !hasBit(remote.mode, GO_DIRECTORY))
      throw new HullError("invalid-argument", `destination "${copy.container}:${copy.path}" must be a directory`);
    await put(copy.path, process.stdin);
    return 0;
  }
  const local = copy.followLink ? followed(resolve(copy.source)) : resolve(copy.source);
  const stat = lstatOrRefuse(local);
  const place = remotePlace(
    copy,
    {
      sourceName: basename(resolve(copy.source)),
      isDirectory: stat.isDirectory(),
      contents: /(^|\/)\.$/.test(copy.source),
    },
    remote,
  );
  const tar = packer(local, place.name);
  const counter = new ByteCounter();
  const sent = put(place.directory, counter.count(tar.stdout!));
  // When the engine refuses, tar fails of it: the refusal is the error.
  await Promise.all([sent, endOf(tar).catch((error: unknown) => sent.then(() => Promise.reject(error)))]);
  return counter.bytes;
}

/** Where a link leads in one step when that is nothing, else in the end. */
function followed(path: string): string {
  if (!lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink()) return path;
  return existsSync(path) ? realpathSync(path) : resolve(dirname(path), readlinkSync(path));
}

function lstatOrRefuse(local: string) {
  const stat = lstatSync(local, { throwIfNoEntry: false });
  if (!stat) throw new HullError("not-found", `lstat ${local}: no such file or directory`);
  return stat;
}

/** Owners travel as numbers: whether they count is the engine's decision. */
function packer(local: string, name: string): ChildProcess {
  const isDirectory = lstatSync(local).isDirectory();
  const from =
    isDirectory && name === "."
      ? ["-C", local, "."]
      : ["-C", dirname(local), ...rename(basename(local), name), basename(local)];
  return spawn("tar", ["-b1", "-cf", "-", "--numeric-owner", ...from], { stdio: ["ignore", "pipe", "pipe"] });
}

/** The engine's archive API unpacks into a directory that exists: the copy's own name travels in the archive. */
function remotePlace(copy: CopyTo, source: Copied, remote: PathStat | undefined): LocalPlace {
  const targetIsDirectory = remote !== undefined && hasBit(remote.mode, GO_DIRECTORY);
  if (remote && !targetIsDirectory && source.isDirectory)
    throw new HullError("invalid-argument", "cannot copy directory");
  if (!remote && copy.path.endsWith("/") && !source.isDirectory) throw new HullError("not-found", `no such directory`);
  if (targetIsDirectory) return { directory: copy.path, name: source.contents ? "." : source.sourceName };
  const absolute = join("/", copy.path);
  return { directory: dirname(absolute), name: basename(absolute) };
}

async function followedStat(session: Session, container: string, path: string): Promise<PathStat | undefined> {
  const stat = await statPath(session, container, path);
  if (!stat || !hasBit(stat.mode, GO_SYMLINK)) return stat;
  return statPath(session, container, resolve(dirname(join("/", path)), stat.linkTarget));
}

/** undefined when the engine does not tell, as for docker: the copy itself says why. */
async function statPath(session: Session, container: string, path: string): Promise<PathStat | undefined> {
  try {
    const response = await session.call({ method: "HEAD", path: `/containers/${container}/archive`, query: { path } });
    return decodeStat(response.header("x-docker-container-path-stat"));
  } catch (error) {
    if (error instanceof HullError && error.facts.status !== undefined) return undefined;
    throw error;
  }
}

const decodeStat = (header: string | undefined): PathStat | undefined =>
  header === undefined ? undefined : (JSON.parse(Buffer.from(header, "base64").toString()) as PathStat);
