import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { cgroupPlace, directoriesOf } from "../../runc/cgroup/place.ts";
import { readHostFacts } from "../../runc/host-facts.ts";
import { taskFile } from "./bundle.ts";
import { createTask, type Engine, makeContainer, openEngine, until } from "./engine-fixture.ts";

let engine: Engine;
before(async () => {
  engine = await openEngine();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

const placeOf = (id: string) => cgroupPlace(readHostFacts().cgroups, `/hull-test/${id}`, id);

async function assertGone(id: string): Promise<void> {
  const { bundle } = engine.paths(id);
  const paths = [bundle, ...directoriesOf(placeOf(id))];
  let left: string[] = [];
  await until("cgroups and bundle are gone", () => {
    left = paths.filter((path) => existsSync(path));
    return left.length === 0;
  }).catch(() => undefined);
  assert.deepEqual(left, []);
}

test("cgroups made below a container's go with it, and so does what is left in one of them only", async () => {
  const id = await makeContainer(engine, { args: ["sleep", "60"] });
  await createTask(engine, id);
  await engine.client.tasks.start({ containerId: id });
  const [first, ...others] = directoriesOf(placeOf(id));
  for (const path of [first!, ...others]) mkdirSync(join(path, "below/deeper"), { recursive: true });
  const stray = spawn("sleep", ["60"], { stdio: "ignore" });
  const ended = new Promise((resolve) => stray.once("exit", (_, signal) => resolve(signal)));
  const joined = others.filter((path) => !path.includes("cpuset")).at(-1) ?? first!;
  writeFileSync(join(joined, "below/cgroup.procs"), String(stray.pid));
  await engine.client.tasks.kill({ containerId: id, signal: 9 });
  await engine.client.tasks.wait({ containerId: id });
  await engine.client.taskExtras.delete({ containerId: id });
  assert.equal(await ended, "SIGKILL");
  await assertGone(id);
});

/** A bundle as a daemon leaves it that was killed while it made or removed a task; `files`: what it had come to write. */
async function cutOff(id: string, files: (id: string) => Readonly<Record<string, string>>): Promise<void> {
  await engine.stop();
  const { bundle } = engine.paths(id);
  mkdirSync(bundle, { recursive: true });
  for (const [name, text] of Object.entries(files(id))) writeFileSync(join(bundle, name), text);
  for (const path of directoriesOf(placeOf(id))) mkdirSync(path, { recursive: true });
  await engine.start();
}

const task = (id: string): string =>
  JSON.stringify(
    taskFile({ cgroup: placeOf(id), stdin: "", stdout: "", stderr: "", terminal: false, mountedRoot: "" }),
  );

test("what a daemon was killed over while it made or removed a task is gone at the next start", async () => {
  await cutOff("made-halfway", (id) => ({ "config.json": "{}", "task.json": task(id) }));
  await assertGone("made-halfway");
  const shim = JSON.stringify({ pid: 0, pausePid: 0, initPid: 0, initStartTime: 0 });
  await cutOff("removed-halfway", (id) => ({ "task.json": task(id), "shim.json": shim }));
  await assertGone("removed-halfway");
});

test("a process that was launched and not yet known is ended at the next start", async () => {
  const stray = spawn("sleep", ["60"], { stdio: "ignore" });
  const ended = new Promise((resolve) => stray.once("exit", (_, signal) => resolve(signal)));
  const id = "launched-unknown";
  const [joined] = directoriesOf(placeOf(id)).filter((path) => !path.includes("cpuset")); // Which must be configured first.
  mkdirSync(joined!, { recursive: true });
  writeFileSync(join(joined!, "cgroup.procs"), String(stray.pid));
  await cutOff(id, () => ({ "task.json": task(id) }));
  assert.equal(await ended, "SIGKILL");
  await assertGone(id);
});
