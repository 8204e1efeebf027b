import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { TestEngine, until } from "../engine.ts";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start({ rehearses: true, withoutImage: true });
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

const entries = (path: string): string[] => (existsSync(path) ? readdirSync(path) : []);
const tasks = () => entries(join(engine.execRoot, "containerd/io.containerd.runtime.v2.task/moby"));
const stage = () => join(engine.execRoot, "rehearsal");
const underWay = () => until("a container of a rehearsal is there", () => tasks().length > 0, 20_000);

/** What a rehearsal makes, but for the room its engine keeps. */
const left = () => [
  ...tasks(),
  ...entries(join(engine.execRoot, "p")),
  ...entries(stage()),
  ...entries(join(engine.dataRoot, "overlay2")).filter((name) => name !== "l"),
  ...entries(join(engine.execRoot, "netns")).filter((name) => !name.startsWith("pool-")),
];

test("work puts rehearsals off", async () => {
  for (let i = 0; i < 12; i++) {
    await engine.ok("version");
    assert.ok(!existsSync(stage()), "a rehearsal has begun");
    await delay(200);
  }
});

test("SIGKILL of hulld over a rehearsal: the next one removes what it left", async () => {
  for (const waitMs of [0, 20, 50]) {
    await underWay();
    await delay(waitMs);
    await engine.endDaemon("SIGKILL");
    await engine.startDaemon();
  }
  await engine.rehearsed();
  await until(
    () => `nothing is left; there is ${left().join(" ")}`,
    () => left().length === 0,
  );
});

test("nobody sees a rehearsal: no container, no event, nobody on the network, no image, no trace", async () => {
  assert.equal(await engine.ok("ps", "-aq"), "");
  assert.equal(await engine.ok("images", "-aq"), "");
  assert.equal(await engine.ok("events", "--since", "10m", "--until", "0s"), "");
  await engine.must(engine.hull("image", "make-base"));
  assert.equal(await engine.ok("network", "inspect", "bridge", "-f", "{{len .Containers}}"), "0");
  assert.doesNotMatch(await engine.must(engine.hull("trace", "--list")), /containers\/create/);
  assert.equal(await engine.ok("run", "--rm", "busybox", "echo", "first"), "first");
});

test("SIGTERM over a rehearsal leaves nothing of it", async () => {
  await until("the container of the last test has gone, but for its image's layer", () => left().length === 1);
  await engine.endDaemon("SIGTERM");
  await engine.startDaemon();
  await underWay();
  await engine.endDaemon("SIGTERM");
  assert.equal(left().length, 1, left().join(" "));
  assert.doesNotMatch(readFileSync(join(engine.dataRoot, "logs/hulld.log"), "utf8"), /level=(warn|error).*rehears/);
  await engine.startDaemon();
});
