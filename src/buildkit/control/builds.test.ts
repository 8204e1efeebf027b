import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf } from "../../platform/errors.ts";
import { Builds } from "./builds.ts";
import type { LiveBuild } from "./live-build.ts";

const build = (ref: string): LiveBuild => ({ ref }) as LiveBuild;
const never = new AbortController().signal;

test("a build that comes later is waited for", async () => {
  const builds = new Builds();
  const waiting = builds.get("a", never);
  const made = build("a");
  builds.add(made);
  assert.equal(await waiting, made);
  assert.throws(
    () => builds.add(build("a")),
    (error) => codeOf(error) === "already-exists",
  );
});

test("one that has ended is known to have ended, at once", () => {
  const builds = new Builds();
  const made = build("a");
  builds.add(made);
  assert.equal(builds.hasEnded("a"), false);
  builds.remove(made);
  assert.equal(builds.find("a"), undefined);
  assert.equal(builds.hasEnded("a"), true);
  assert.equal(builds.hasEnded("b"), false);
});

test("of those that have ended the latest are remembered", () => {
  const builds = new Builds();
  for (let i = 0; i < 1001; i++) {
    const made = build(`b${i}`);
    builds.add(made);
    builds.remove(made);
  }
  assert.deepEqual([builds.hasEnded("b0"), builds.hasEnded("b1"), builds.hasEnded("b1000")], [false, true, true]);
});
