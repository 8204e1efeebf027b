/**
 * `cp`: the local side is packed and unpacked by the system's tar, which knows every kind of file; the container's side
 * is the engine's archive API. Rules for the names are docker's (cp.md: directory or file, trailing slash, `/.`).
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, lstatSync, realpathSync, statSync } from "node:fs";
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

export async function copyFrom(session: Session, copy: CopyFrom): Promise<void> {
  let { path } = copy;
  if (copy.followLink) {
    const stat = await statPath(session, copy.container, path);
    if (stat && hasBit(stat.mode, GO_SYMLINK)) path = resolve(dirname(path), stat.linkTarget);
  }
  const response = await session.call({ path: `/containers/${copy.container}/archive`, query: { path } });
  if (copy.target === "-") {
    for await (const chunk of response.body) await write("stdout", chunk);
    return;
  }
  const stat = decodeStat(response.header("x-docker-container-path-stat"));
  const isDirectory = stat !== undefined && hasBit(stat.mode, GO_DIRECTORY);
  const place = localPlace(copy.target, { sourceName: basename(path), isDirectory, contents: /(^|\/)\.$/.test(path) });
  const archived = stat?.name ?? basename(path);
  const rename = ["--transform", `flags=r;s|^${escapeForSed(archived)}\\(/\\|$\\)|${escapeForSed(place.name)}\\1|`];
  await unpack(response, [
    "-C",
    place.directory,
    "-xf",
    "-",
    "--no-same-owner",
    ...(place.name === archived ? [] : rename),
  ]);
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
  const parent = dirname(resolve(target));
  if (!exists && !existsSync(parent))
    throw new HullError("not-found", `invalid output path: directory ${JSON.stringify(parent)} does not exist`);
  if (targetIsDirectory && !source.contents) return { directory: resolve(target), name: source.sourceName };
  if (targetIsDirectory) return { directory: resolve(target), name: "." };
  return { directory: parent, name: basename(resolve(target)) };
}

const escapeForSed = (text: string): string => text.replace(/[.[\]*^$|\\&]/g, (letter) => `\\${letter}`);

async function unpack(response: HttpResponse, args: readonly string[]): Promise<void> {
  const tar = spawn("tar", args, { stdio: ["pipe", "ignore", "pipe"] });
  const ended = endOf(tar);
  await pipeline(response.body, tar.stdin).catch(() => undefined);
  await ended;
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

export async function copyTo(session: Session, copy: CopyTo): Promise<void> {
  const put = (path: string, body: AsyncIterable<Uint8Array>) =>
    session.call({
      method: "PUT",
      path: `/containers/${copy.container}/archive`,
      query: { path, noOverwriteDirNonDir: true, ...(copy.keepOwners ? { copyUIDGID: true } : {}) },
      headers: { "Content-Type": "application/x-tar" },
      body,
    });
  if (copy.source === "-") {
    await put(copy.path, process.stdin);
    return;
  }
  const local = copy.followLink ? realpathSync(copy.source) : resolve(copy.source);
  const stat = lstatOrRefuse(local, copy.source);
  const remote = await followedStat(session, copy.container, copy.path);
  const place = remotePlace(
    copy,
    { sourceName: basename(local), isDirectory: stat.isDirectory(), contents: /(^|\/)\.$/.test(copy.source) },
    remote,
  );
  const tar = packer(local, place.name, copy.keepOwners);
  const ended = endOf(tar);
  await Promise.all([put(place.directory, tar.stdout!), ended]);
}

function lstatOrRefuse(local: string, shown: string) {
  if (!existsSync(local) && !isDanglingLink(local))
    throw new HullError("not-found", `lstat ${shown}: no such file or directory`);
  return lstatSync(local);
}

function isDanglingLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
}

function packer(local: string, name: string, keepOwners: boolean): ChildProcess {
  const owner = keepOwners ? [] : ["--owner=0", "--group=0", "--numeric-owner"];
  const isDirectory = lstatSync(local).isDirectory();
  const from =
    isDirectory && name === "."
      ? ["-C", local, "."]
      : [
          "-C",
          dirname(local),
          "--transform",
          `flags=r;s|^${escapeForSed(basename(local))}|${escapeForSed(name)}|`,
          basename(local),
        ];
  return spawn("tar", ["-cf", "-", ...owner, ...from], { stdio: ["ignore", "pipe", "pipe"] });
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

/** undefined when there is no such path (or no such container: the copy itself says so). */
async function statPath(session: Session, container: string, path: string): Promise<PathStat | undefined> {
  try {
    const response = await session.call({ method: "HEAD", path: `/containers/${container}/archive`, query: { path } });
    return decodeStat(response.header("x-docker-container-path-stat"));
  } catch (error) {
    if (error instanceof HullError && error.code === "not-found") return undefined;
    throw error;
  }
}

const decodeStat = (header: string | undefined): PathStat | undefined =>
  header === undefined ? undefined : (JSON.parse(Buffer.from(header, "base64").toString()) as PathStat);
