/** Projects as people have them, built by `hull build`: the files, configurations and histories that a real BuildKit gave them (projects/make-golden.ts). */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { run, TestEngine } from "../engine.ts";
import { SavedImages } from "../image-layers.ts";
import { root } from "../tidy/source-tree.ts";
import {
  type Comparable,
  comparable,
  listProjects,
  type Project,
  prepareContext,
  projectsDirectory,
  TEST_TOKEN,
} from "./projects/projects.ts";

const goldenOf = ({ name }: Project): string => join(projectsDirectory, name, "golden.json");
const projects = listProjects().filter((project) => existsSync(goldenOf(project)));

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
  mkdirSync(engine.path("contexts"));
});
after(async () => {
  await engine?.[Symbol.asyncDispose]();
});

for (const project of projects)
  test(`${project.name}: BuildKit's files, configuration and history`, async () => {
    const { name, args } = project;
    const context = engine.path(`contexts/${name}`);
    prepareContext(project, context);
    const env = {
      DOCKER_HOST: `unix://${engine.socket}`,
      DOCKER_CONFIG: engine.path("config"),
      DOCKER_BUILDKIT: "1",
      HULL_TEST_TOKEN: TEST_TOKEN,
    };
    const built = await run([join(root, "dist/bin/hull"), "build", "-t", name, ...args, context], env);
    assert.equal(built.code, 0, built.stderr);
    const archive = engine.path(`${name}.tar`);
    await engine.ok("save", "-o", archive, name);
    using images = new SavedImages(archive);
    const { config, layers } = JSON.parse(readFileSync(goldenOf(project), "utf8")) as Comparable;
    const is = JSON.parse(JSON.stringify(comparable(images.image(`${name}:latest`), 1))) as Comparable;
    assert.deepEqual(is.config, config);
    assert.deepEqual(is.layers, layers);
  });
