/** COPY and ADD. */
import { posix } from "node:path";
import { HullError } from "../../platform/errors.ts";
import type { CopyInstruction } from "../dockerfile/ast.ts";
import { checkChmod } from "./chmod.ts";
import { type CopySource, planSources } from "./copy-sources.ts";
import { expandIn, shownText } from "./expansion.ts";
import { needsBuildkit, vertexBase } from "./layer-instructions.ts";
import { CONTENT_HASH } from "./plan.ts";
import { recorded, type StageState, type StageWork, shellOf } from "./stage-state.ts";
import type { CopyVertex, Vertex } from "./vertex.ts";

/** A COPY or ADD with its variables put in. */
export interface CopyRequest {
  readonly instruction: CopyInstruction;
  readonly sources: readonly string[];
  /** As written, after expansion. */
  readonly destination: string;
  readonly chown: string;
  readonly chmod: string;
  readonly checksum: string;
}

export function applyCopy(instruction: CopyInstruction, state: StageState, work: StageWork): StageState {
  const classic = work.request.dialect === "classic";
  if (classic && instruction.chmod !== "") throw needsBuildkit("chmod");
  const request = expandedRequest(instruction, state, work);
  if (request.chmod !== "") checkChmod(request.chmod);
  checkChecksum(request);
  const linked = !classic && instruction.link && request.chmod === "";
  const shown = shownText(instruction.original, { state, work, command: false });
  const name = work.numbering.next(shown);
  const scratch: Vertex = { ...vertexBase(state, work, name), ignoreCache: false, kind: "scratch" };
  const sources = planSources(request, { state, work, name });
  const copied = copyOnto(linked ? scratch : state.vertex, { request, sources, state, work, name });
  const after: Vertex = linked
    ? {
        ...vertexBase(state, work, work.numbering.same(`LINK ${shown}`)),
        kind: "merge",
        base: state.vertex,
        layer: copied,
      }
    : copied;
  const text = classic ? classicText(request) : buildkitText(request);
  const command = classic ? [...shellOf(state.config), `#(nop) ${text}`] : [`${text} # buildkit`];
  return recorded(state, { command, what: "copy" }, after);
}

function expandedRequest(instruction: CopyInstruction, state: StageState, work: StageWork): CopyRequest {
  const expanded = (text: string): string => expandIn(text, state, work);
  return {
    instruction,
    chown: expanded(instruction.chown),
    chmod: expanded(instruction.chmod),
    checksum: expanded(instruction.checksum),
    sources: instruction.sources.map(expanded),
    destination: expanded(instruction.destination),
  };
}

function checkChecksum({ checksum, sources, instruction }: CopyRequest): void {
  if (checksum === "") return;
  if (instruction.kind === "copy") throw new HullError("invalid-argument", "checksum can't be specified for COPY");
  if (sources.length !== 1 || instruction.hereDocuments.length > 0) {
    throw new HullError("invalid-argument", "checksum can't be specified for multiple sources");
  }
}

interface Onto {
  readonly request: CopyRequest;
  readonly sources: readonly CopySource[];
  readonly state: StageState;
  readonly work: StageWork;
  readonly name: string;
}

/** One layer, whatever the sources are: those of several kinds are brought together first. */
function copyOnto(base: Vertex, onto: Onto): Vertex {
  const { sources } = onto;
  const destination = destinationOf(onto);
  const [only] = sources;
  if (only !== undefined && sources.length === 1) return placed(base, only, { ...onto, destination });
  const { dialect } = onto.work.request;
  if (dialect === "classic" && !destination.endsWith("/")) throw severalSources(onto.request);
  let gathered: Vertex = { ...vertexBase(onto.state, onto.work, onto.name), ignoreCache: false, kind: "scratch" };
  for (const source of sources) gathered = placed(gathered, source, { ...onto, destination: "/", gathering: true });
  const whole: CopySource = { kind: "files", from: gathered, sources: ["/"], unpack: "never" };
  const directory = destination.endsWith("/") ? destination : `${destination}/`;
  return placed(base, whole, { ...onto, destination: directory });
}

const severalSources = ({ instruction }: CopyRequest): HullError =>
  new HullError(
    "invalid-argument",
    `When using ${instruction.kind.toUpperCase()} with more than one source file, the destination must be a directory and end with a /`,
  );

function placed(
  base: Vertex,
  source: CopySource,
  onto: Onto & { readonly destination: string; readonly gathering?: boolean },
): Vertex {
  const { request, state, work, name, destination, gathering } = onto;
  const common = {
    ...vertexBase(state, work, name),
    base,
    owner: gathering || request.chown === "" ? undefined : request.chown,
    chmod: gathering || request.chmod === "" ? undefined : request.chmod,
  };
  if (source.kind === "written") {
    const intoDirectory = destination.endsWith("/") || source.files.length > 1;
    const pathOf = (file: string): string => (intoDirectory ? posix.join(destination, file) : destination);
    return { ...common, kind: "write", files: source.files.map((file) => ({ ...file, path: pathOf(file.name) })) };
  }
  const { instruction } = request;
  const copy: CopyVertex = {
    ...common,
    kind: "copy",
    from: source.from,
    sources: source.sources,
    destination,
    excludes: work.request.dialect === "classic" ? [] : instruction.excludes,
    parents: work.request.dialect === "buildkit" && instruction.parents,
    unpack: source.unpack,
    dialect: work.request.dialect,
  };
  return copy;
}

/** Absolute; a "/" at its end is kept, and BuildKit takes "." for a directory. */
function destinationOf({ request: { destination }, state, work }: Onto): string {
  const current = work.request.dialect === "buildkit" && (destination === "." || destination === "");
  const written = current ? "./" : destination;
  const absolute = posix.resolve("/", state.config.workingDirectory, written);
  const directory = written.endsWith("/") || (work.request.dialect === "buildkit" && written.endsWith("/."));
  return directory && absolute !== "/" ? `${absolute}/` : absolute;
}

/** dockerd 20.10 leaves no space behind --chown. */
function classicText({ instruction, chown, destination }: CopyRequest): string {
  const owner = chown === "" ? "" : `--chown=${chown}`;
  return `${instruction.kind.toUpperCase()} ${owner}${CONTENT_HASH} in ${destination} `;
}

function buildkitText({ instruction, sources, destination, chown, chmod }: CopyRequest): string {
  const words = [
    instruction.kind.toUpperCase(),
    ...(instruction.parents ? ["--parents"] : []),
    ...(chown === "" ? [] : [`--chown=${chown}`]),
    ...(chmod === "" ? [] : [`--chmod=${chmod}`]),
    ...sources,
    ...instruction.hereDocuments.map(({ name }) => `<<${name}`),
    destination,
  ];
  return words.join(" ");
}
