/** Where COPY and ADD take files from: a directory of the client, a stage, an image, a URL, a repository, the Dockerfile itself. */
import { posix } from "node:path";
import { HullError } from "../../platform/errors.ts";
import type { CopyRequest } from "./copy-instructions.ts";
import { expandHereDocument } from "./expansion.ts";
import { decoded, type GitReference, parseGitReference } from "./git-reference.ts";
import type { StageState, StageWork } from "./stage-state.ts";
import type { CopyVertex, GitVertex, HttpVertex, Vertex } from "./vertex.ts";

export type CopySource =
  | {
      readonly kind: "files";
      readonly from: Vertex;
      readonly sources: readonly string[];
      readonly unpack: CopyVertex["unpack"];
    }
  | { readonly kind: "written"; readonly files: readonly { readonly name: string; readonly data: string }[] };

interface Place {
  readonly state: StageState;
  readonly work: StageWork;
  /** Of the vertices. */
  readonly name: string;
}

const bad = (message: string, token: string): HullError =>
  new HullError("invalid-argument", message, { facts: { token } });

/** In the order of the instruction; neighbours of one kind together. */
export function planSources(request: CopyRequest, place: Place): readonly CopySource[] {
  const planned: CopySource[] = [];
  let local: string[] = [];
  const flush = (): void => {
    if (local.length > 0) planned.push(localSource(request, local, place));
    local = [];
  };
  for (const source of request.sources) {
    const remote = remoteSource(source, request, place);
    if (remote === undefined) {
      local.push(source);
      continue;
    }
    flush();
    planned.push(remote);
  }
  flush();
  const { hereDocuments } = request.instruction;
  if (hereDocuments.length > 0) planned.push(writtenSource(hereDocuments, place));
  return planned;
}

function writtenSource(documents: CopyRequest["instruction"]["hereDocuments"], place: Place): CopySource {
  const textOf = (data: string): string => expandHereDocument(data, place.state, place.work);
  return {
    kind: "written",
    files: documents.map(({ name, data, expand }) => ({ name, data: expand ? textOf(data) : data })),
  };
}

function localSource(request: CopyRequest, sources: readonly string[], { work }: Place): CopySource {
  const { instruction, checksum } = request;
  if (checksum !== "") throw bad("checksum requires HTTP(S) or Git sources", checksum);
  const isClassic = work.request.dialect === "classic";
  const from =
    instruction.from === ""
      ? work.contexts.vertex("context")
      : work.source(instruction.from, { what: "copy", target: "" });
  for (const source of sources) {
    if (isClassic && instruction.from === "") refuseOutside(source, instruction.kind.toUpperCase());
    work.contexts.note(from, source);
  }
  return { kind: "files", from, sources, unpack: unpackOf(request, isClassic, "auto") };
}

/** The classic builder's rule; BuildKit takes what leads out for the root. */
function refuseOutside(source: string, keyword: string): void {
  const relative = source.replace(/^\/+/, "");
  const path = posix.normalize(relative);
  if (path === ".." || path.startsWith("../")) {
    throw bad(`${keyword} failed: forbidden path outside the build context: ${relative} ()`, source);
  }
}

function unpackOf({ instruction }: CopyRequest, isClassic: boolean, byDefault: "auto" | "never"): CopyVertex["unpack"] {
  if (instruction.kind === "copy") return "never";
  if (isClassic || instruction.unpack === undefined) return byDefault;
  return instruction.unpack ? "always" : "never";
}

function remoteSource(source: string, request: CopyRequest, place: Place): CopySource | undefined {
  const { instruction } = request;
  const isClassic = place.work.request.dialect === "classic";
  const git = isClassic ? undefined : parseGitReference(source);
  if (git !== undefined) {
    if (instruction.kind === "copy") throw bad("source can't be a git ref for COPY", source);
    return { kind: "files", from: gitVertex(git, request, place), sources: ["/"], unpack: "never" };
  }
  if (!/^https?:\/\//.test(source)) return undefined;
  if (instruction.kind === "copy") {
    throw bad(`${isClassic ? "COPY failed: " : ""}source can't be a URL for COPY`, source);
  }
  const from = httpVertex(source, request, place);
  return { kind: "files", from, sources: [from.fileName], unpack: unpackOf(request, isClassic, "never") };
}

const sourceBase = ({ state, work, name }: Place) => ({
  name,
  location: work.location,
  ignoreCache: work.ignoreCache,
  platform: state.platform,
});

function httpVertex(url: string, { checksum, destination }: CopyRequest, place: Place): HttpVertex {
  if (checksum !== "" && !/^sha256:[0-9a-f]{64}$/.test(checksum)) {
    throw bad(`invalid checksum digest format: ${checksum}`, checksum);
  }
  const base = URL.canParse(url) ? posix.basename(decoded(new URL(url).pathname)) : "";
  const isClassic = place.work.request.dialect === "classic";
  if (base === "" && isClassic && destination.endsWith("/"))
    throw bad(`cannot determine filename for source ${url}`, url);
  return { ...sourceBase(place), kind: "http", url, checksum, fileName: base || "__unnamed__" };
}

function gitVertex(git: GitReference, request: CopyRequest, place: Place): GitVertex {
  const { checksum, instruction } = request;
  const { keepGitDirectory } = instruction;
  if (
    git.keepGitDirectory !== undefined &&
    keepGitDirectory !== undefined &&
    git.keepGitDirectory !== keepGitDirectory
  ) {
    throw bad("inconsistent keep-git-dir configuration", "--keep-git-dir");
  }
  if (checksum !== "" && git.checksum !== "" && checksum !== git.checksum) {
    throw bad(`checksum mismatch "${checksum}" != "${git.checksum}"`, checksum);
  }
  return {
    ...sourceBase(place),
    kind: "git",
    remote: git.remote,
    ref: git.ref,
    subdirectory: git.subdirectory,
    keepGitDirectory: git.keepGitDirectory ?? keepGitDirectory ?? false,
    checksum: git.checksum || checksum,
    submodules: git.submodules,
  };
}
