import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Ran, run, TestEngine } from "../engine.ts";
import { root } from "../tidy/source-tree.ts";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

function context(name: string, dockerfile: string): string {
  const directory = engine.path(name);
  mkdirSync(directory);
  writeFileSync(join(directory, "Dockerfile"), dockerfile);
  return directory;
}

const build = (...args: string[]): Promise<Ran> =>
  run([join(root, "dist/bin/hull"), "build", ...args], {
    DOCKER_HOST: `unix://${engine.socket}`,
    DOCKER_BUILDKIT: "0",
  });

test("what concurrent builds have in common is done once: all see it, and all have the image", async () => {
  const directory = context(
    "shared",
    "FROM busybox\nRUN sleep 1; head -c 16 /dev/urandom | md5sum | tee /made\nRUN cat /made\n",
  );
  const names = ["one", "two", "three", "four"];
  const built = await Promise.all(names.map((name) => build("-t", name, directory)));
  for (const { code, stdout, stderr } of built) assert.equal(code, 0, stderr + stdout);
  const made = built.map(({ stdout }) => /^[0-9a-f]{32}/m.exec(stdout)?.[0]);
  assert.ok(made[0]);
  assert.equal(new Set(made).size, 1);
  const ids = await Promise.all(names.map((name) => engine.inspect(name, "{{.Id}}")));
  assert.equal(new Set(ids).size, 1);
});

test("stages that do not need each other are built at the same time", async () => {
  const stages = Array.from(
    { length: 4 },
    (_, i) => `FROM busybox AS s${i}\nRUN cut -d" " -f1 /proc/uptime > /began${i}; sleep 2\n`,
  );
  const copies = stages.map((_, i) => `COPY --from=s${i} /began${i} /all/\n`);
  const directory = context("stages", `${stages.join("")}FROM busybox\n${copies.join("")}`);
  const built = await build("-t", "stages", directory);
  assert.equal(built.code, 0, built.stderr + built.stdout);
  const began = (await engine.ok("run", "--rm", "stages", "sh", "-c", "cat /all/*")).split("\n").map(Number);
  assert.equal(began.length, stages.length);
  assert.ok(Math.max(...began) - Math.min(...began) < 2, "the last began before the first had ended");
});
