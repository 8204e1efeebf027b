import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { keelPath } from "../platform/paths.ts";

/** keel called by the name under which containers see it. */
function init(...command: string[]) {
  return spawn(keelPath(), ["--", ...command], { argv0: "/sbin/docker-init", stdio: ["ignore", "pipe", "pipe"] });
}

async function end(child: ReturnType<typeof init>): Promise<number | null> {
  const [code] = (await once(child, "close")) as [number | null];
  return code;
}

test("docker-init ends as its command ended", async () => {
  assert.equal(await end(init("sh", "-c", "exit 7")), 7);
  assert.equal(await end(init("sh", "-c", "kill -KILL $$")), 137);
});

test("docker-init reports a command that cannot be run", async () => {
  assert.equal(await end(init("no-such-command")), 127);
  assert.equal(await end(init("/etc/passwd")), 126);
});

test("docker-init passes signals on", async () => {
  const child = init("sh", "-c", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done");
  await once(child.stdout, "data");
  child.kill("SIGTERM");
  assert.equal(await end(child), 5);
});

test("docker-init takes an early death of an orphan for no end of its command", async () => {
  assert.equal(await end(init("sh", "-c", "(sh -c 'exit 9' &) ; sleep 0.1; exit 3")), 3);
});
