import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { run, TestEngine } from "../engine.ts";

/** An engine without the privilege to raise limits, as in a container that has not been given it. */
let engine: TestEngine;
let hardLimit = 0;
before(async () => {
  engine = await TestEngine.start({ wrap: ["setpriv", "--bounding-set=-sys_resource", "--"] });
  hardLimit = Number((await run(["sh", "-c", "ulimit -Hn"], {})).stdout);
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

test("a privileged container runs with what there is, and the client is told what it lacks", async () => {
  const ran = await engine.docker("run", "--rm", "--privileged", "busybox", "echo", "runs");
  assert.equal(ran.stdout, "runs\n");
  assert.match(
    ran.stderr,
    /^WARNING: This host lacks capabilities, so the container gets them neither: .*CAP_SYS_RESOURCE/,
  );
});

test("a limit above the engine's own becomes as much as there is, and the client is told", async () => {
  const ran = await engine.docker(
    "run",
    "--rm",
    "--ulimit",
    `nofile=${hardLimit + 5}`,
    "busybox",
    "sh",
    "-c",
    "ulimit -Hn",
  );
  assert.equal(ran.stdout.trim(), String(hardLimit));
  assert.equal(
    ran.stderr.trim(),
    `WARNING: This host can't raise limits (no CAP_SYS_RESOURCE): ulimit nofile is ${hardLimit}, as much as there is.`,
  );
});

test("what the engine can give is given without a word", async () => {
  const ran = await engine.docker(
    "run",
    "--rm",
    "--ulimit",
    "nofile=100",
    "--cap-add",
    "NET_ADMIN",
    "busybox",
    "sh",
    "-c",
    "ulimit -Hn",
  );
  assert.deepEqual([ran.stdout, ran.stderr], ["100\n", ""]);
});
