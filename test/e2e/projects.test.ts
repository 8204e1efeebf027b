/** Projects as people have them, built by hulld and by Debian's dockerd: the same files, configurations and histories. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { PeerDocker } from "../../bench/peer-docker.ts";
import { type Ran, run, TestEngine } from "../engine.ts";
import { SavedImages } from "../image-layers.ts";
import { comparable, listProjects, type Project, prepareContext, projectsDirectory } from "./projects/projects.ts";

const BUILD_MS = 120_000;
const AT_ONCE = 3;
const classic = listProjects().filter(({ needsBuildKit }) => !needsBuildKit);

let engine: TestEngine;
let peer: PeerDocker;

before(async () => {
  engine = await TestEngine.start();
  await makeTools();
  await engine.ok("save", "-o", engine.path("bases.tar"), "busybox", "tools");
  peer = await PeerDocker.start(engine.path("bases.tar"));
  mkdirSync(engine.path("contexts"));
  for (const project of classic) prepareContext(project, contextOf(project));
});

after(async () => {
  await peer?.[Symbol.asyncDispose]();
  await engine?.[Symbol.asyncDispose]();
});

const contextOf = ({ name }: Project): string => engine.path(`contexts/${name}`);
const ours = () => ({ DOCKER_HOST: `unix://${engine.socket}` });

/** Node, Python and a C compiler on the base image. */
async function makeTools(): Promise<void> {
  const directory = engine.path("tools");
  mkdirSync(directory);
  const tar = openSync(join(directory, "tools.tar"), "w");
  execFileSync(join(projectsDirectory, "pack-tools"), { stdio: ["ignore", tar, "inherit"] });
  closeSync(tar);
  writeFileSync(join(directory, "Dockerfile"), "FROM busybox\nADD tools.tar /\n");
  const env = { ...ours(), DOCKER_BUILDKIT: "0" };
  await engine.must(run(["docker", "build", "-t", "tools", directory], env, { timeoutMs: BUILD_MS }));
}

const build = (project: Project, env: Readonly<Record<string, string>>): Promise<Ran> =>
  run(
    ["docker", "build", "-t", project.name, ...project.args, contextOf(project)],
    { ...env, DOCKER_BUILDKIT: "0" },
    { timeoutMs: BUILD_MS },
  );

const history = (project: Project, env: Readonly<Record<string, string>>): Promise<Ran> =>
  run(["docker", "history", "--no-trunc", "--format", "{{.Size}}\t{{.CreatedBy}}\t{{.Comment}}", project.name], env);

/** Without ids and transfers; where 20.10 has other words than later ones, theirs. */
const said = ({ stdout }: Ran): string =>
  stdout
    .replace(/^Sending build context.*$/m, "")
    .replace(/\b[0-9a-f]{12}\b/g, "ID")
    .replace(/\x1b\[\d+m/g, "")
    .replace(/ in \d\.\d+s$/gm, " in T")
    .replaceAll("Removing intermediate container", " ---> Removed intermediate container");

interface Built {
  readonly mine: Ran;
  readonly theirs: Ran;
}

const built = new Map<string, Promise<Built>>();

/** Both builders at a time, and several projects; all are begun with the first that is asked for. */
function buildOf(project: Project): Promise<Built> {
  const turns = Array.from({ length: AT_ONCE }, () => Promise.resolve());
  if (built.size === 0)
    for (const [i, each] of classic.entries()) {
      const begun = turns[i % AT_ONCE]!.then(async () => {
        const [mine, theirs] = await Promise.all([build(each, ours()), build(each, peer.env)]);
        return { mine, theirs };
      });
      turns[i % AT_ONCE] = begun.then(() => undefined);
      built.set(each.name, begun);
    }
  return built.get(project.name)!;
}

for (const project of classic)
  test(`${project.name}: the classic builder's output and history are dockerd's`, async () => {
    const { mine, theirs } = await buildOf(project);
    assert.equal(theirs.code, 0, theirs.stdout + theirs.stderr);
    assert.equal(mine.code, 0, mine.stdout + mine.stderr);
    assert.equal(said(mine), said(theirs));
    const [written, expected] = await Promise.all([history(project, ours()), history(project, peer.env)]);
    assert.equal(written.stdout, expected.stdout);
  });

test("saved, they have dockerd's configurations and layers, file by file", async () => {
  const names = classic.map(({ name }) => name);
  const [mine, theirs] = [engine.path("ours.tar"), engine.path("theirs.tar")];
  await Promise.all([
    engine.must(run(["docker", "save", "-o", mine, ...names], ours())),
    engine.must(run(["docker", "save", "-o", theirs, ...names], peer.env)),
  ]);
  using made = new SavedImages(mine);
  using expected = new SavedImages(theirs);
  for (const { name, usesTools } of classic) {
    const below = name === "c-library" ? 0 : usesTools ? 2 : 1;
    const [is, should] = [made, expected].map((images) => comparable(images.image(`${name}:latest`), below));
    assert.deepEqual(is, should, name);
  }
});
