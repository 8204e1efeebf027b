/**
 * For the tests of builds that lose what they run on: a project that takes a moment, what a client says of its build, the files of the image, and what an
 * engine keeps on the disk when nothing is built.
 */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Ran, TestEngine } from "./engine.ts";
import { SavedImages } from "./image-layers.ts";
import { root } from "./tidy/source-tree.ts";

export const clients = ["docker", "hull"] as const;
export type Client = (typeof clients)[number];

/** No step is known that another ROUND had; the files are the same whatever it is. */
const dockerfile = `FROM busybox AS made
ARG ROUND
RUN mkdir -p /out/deep && for i in $(seq 100); do echo $i > /out/deep/$i; done; ln /out/deep/1 /out/name; chmod 4755 /out/deep/2
COPY files /out/files

FROM busybox AS unpacked
ARG ROUND
RUN mkdir -p /opt/before
ADD archive.tgz /opt/

FROM busybox
ARG ROUND
RUN echo begun > /begun
WORKDIR /app
COPY --from=made /out ./
COPY --from=unpacked /opt /opt
COPY --chown=www-data files/2 files/3 /srv/
RUN rm -r /opt/files/1 /app/deep/3 && ln -s /opt /here
`;

/** The project's directory. */
export function makeProject(engine: TestEngine): string {
  const directory = engine.path("project");
  mkdirSync(join(directory, "files"), { recursive: true });
  for (let i = 0; i < 20; i++) writeFileSync(join(directory, "files", `${i}`), `${i}\n`.repeat(5000));
  writeFileSync(join(directory, "Dockerfile"), dockerfile);
  execFileSync("tar", ["-C", directory, "-czf", join(directory, "archive.tgz"), "files"]);
  return directory;
}

export interface Building {
  /** What it has said so far, both streams. */
  said(): string;
  readonly ended: Promise<Ran>;
  end(signal: NodeJS.Signals): void;
}

export interface BuildRequest {
  readonly client: Client;
  readonly directory: string;
  readonly round: string;
  /** "killed" unless given. */
  readonly tag?: string;
  readonly args?: readonly string[];
}

/** Begins a build; `said` grows while it goes on. */
export function beginBuild(
  engine: TestEngine,
  { client, directory, round, tag = "killed", args = [] }: BuildRequest,
): Building {
  const command = client === "docker" ? "docker" : join(root, "dist/bin/hull");
  const all = ["build", "-t", tag, "--build-arg", `ROUND=${round}`, ...args, directory];
  const env = {
    ...process.env,
    DOCKER_HOST: `unix://${engine.socket}`,
    DOCKER_BUILDKIT: client === "docker" ? "0" : "1",
    BUILDKIT_PROGRESS: "plain",
  };
  const child = spawn(command, all, { env, stdio: ["ignore", "pipe", "pipe"] });
  const text = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const)
    child[name].setEncoding("utf8").on("data", (piece: string) => {
      text[name] += piece;
    });
  const ended = new Promise<Ran>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ ...text, code: code ?? (signal ? 128 : 1) }));
  });
  return { said: () => text.stdout + text.stderr, ended, end: (signal) => child.kill(signal) };
}

/** Steps that a client says are over, as the same client names them in every run. */
export function finishedSteps(said: string, client: Client): ReadonlySet<string> {
  return client === "docker"
    ? classicSteps(said, / ---> [0-9a-f]{12}\n/)
    : plainSteps(said, /^#(\d+) (?:DONE|CACHED)/gm);
}

/** Of those the ones that it found in the cache. */
export function cachedSteps(said: string, client: Client): ReadonlySet<string> {
  return client === "docker" ? classicSteps(said, / ---> Using cache\n/) : plainSteps(said, /^#(\d+) CACHED/gm);
}

/** Those that are commands or copies: a FROM is never looked for in the cache. */
function classicSteps(said: string, mark: RegExp): ReadonlySet<string> {
  const steps = said.split(/^(?=Step \d+\/\d+ : )/m).filter((text) => text.startsWith("Step "));
  const named = steps.map((text) => ({ name: text.slice(0, text.indexOf("\n")), text }));
  return new Set(named.flatMap(({ name, text }) => (mark.test(text) && !/ : FROM /.test(name) ? [name] : [])));
}

function plainSteps(said: string, ended: RegExp): ReadonlySet<string> {
  const names = new Map(
    [...said.matchAll(/^#(\d+) (\[.*\] (?:RUN|COPY|ADD|WORKDIR) .*)$/gm)].map(([, id, name]) => [id!, name!]),
  );
  return new Set([...said.matchAll(ended)].flatMap(([, id]) => names.get(id!) ?? []));
}

/** All layers of each image, file by file; what the engine that built it gives out. */
export async function filesOf(
  engine: TestEngine,
  names: readonly string[],
): Promise<readonly (readonly Record<string, string>[])[]> {
  const archive = engine.path("killed.tar");
  await engine.ok("save", "-o", archive, ...names);
  using images = new SavedImages(archive);
  return names.map((name) => images.image(name).layers.map((layer) => layer.files()));
}

const entries = (path: string): readonly string[] =>
  existsSync(path) ? readdirSync(path).map((name) => join(path, name)) : [];

/** What a build makes outside of records: layers, blobs, half of anything, mounts. */
export function remains(engine: TestEngine): readonly string[] {
  const { dataRoot, execRoot } = engine;
  const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  const objects = join(dataRoot, "buildkit/contexts/objects");
  return [
    ...["overlay2", "overlay2/l", "containerd/trash", "containerd/content/ingest", "containerd/content/scratch"],
    ...["containerd/content/blobs/sha256", "buildkit/scratch", "buildkit/run", "buildkit/logs", "buildkit/layouts"],
  ]
    .flatMap((name) => entries(join(dataRoot, name)))
    .concat(
      [...entries(join(dataRoot, "buildkit/contexts")), ...entries(objects)].filter((path) => /\/incoming-/.test(path)),
      ["buildkit/files", "buildkit/run"].flatMap((name) => entries(join(execRoot, name))),
      mounts
        .map((line) => line.split(" ")[4] ?? "")
        .filter((path) => path.startsWith(engine.path("")) && !path.includes("/pool-")),
    );
}

export interface UsedBytes {
  readonly sum: number;
  /** By directory. */
  readonly listing: string;
}

/** Of the data root but for what is written about builds: their history, traces and logs. */
export function usedBytes({ dataRoot }: TestEngine): UsedBytes {
  const left = ["logs", "traces", "history*", "*.db*"].map((name) => `--exclude=${name}`);
  const listing = execFileSync("du", ["-B1", "-d3", ...left, dataRoot], { encoding: "utf8" });
  return {
    listing,
    sum: Number(/^(\d+)\t.*\n$/m.exec(listing.slice(listing.lastIndexOf("\n", listing.length - 2) + 1))?.[1]),
  };
}
