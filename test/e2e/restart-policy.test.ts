import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { TestEngine, until } from "../engine.ts";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

/** Ends at once and is started again by its policy, sooner and later in its life. */
const looping = (name: string) =>
  engine.ok("run", "-d", "--name", name, "--restart", "always", "busybox", "sh", "-c", "exit 3");
/** Moments in the first rounds of a loop: while it runs, between its end and its restart, while it is started. */
const moments = [0, 10, 25, 50, 80, 110, 140, 180, 230, 290, 360, 440];

test("rm -f removes a container that its policy starts again and again, at any moment", async () => {
  for (const ms of moments) {
    await looping("loop");
    await delay(ms);
    const ran = await engine.docker("rm", "-f", "loop");
    assert.deepEqual([ran.code, ran.stderr, await engine.ok("ps", "-aq")], [0, "", ""], `after ${ms} ms`);
  }
});

for (const command of [["stop", "-t", "0"], ["kill"]] as const)
  test(`${command[0]} ends a container that its policy starts again and again, for good`, async () => {
    for (const ms of moments.filter((_, i) => i % 2 === 0)) {
      const name = `loop-${command[0]}-${ms}`;
      await looping(name);
      await delay(ms);
      await engine.ok(...command, name);
    }
    const states = () => engine.ok("ps", "-a", "--format", "{{.State}}", "--filter", `name=loop-${command[0]}`);
    await until("all of them have ended", async () => /^(exited\n?)+$/.test(await states()));
    const counts = () => engine.ok("inspect", "-f", "{{.RestartCount}}", ...names);
    const names = (await engine.ok("ps", "-a", "--format", "{{.Names}}")).split("\n");
    const before = await counts();
    await delay(700); // Longer than the next restarts would take.
    assert.deepEqual([await counts(), /^(exited\n?)+$/.test(await states())], [before, true]);
    await engine.ok("rm", ...names);
  });

test("a container that ended while the engine was away is removed by rm -f however soon after", async () => {
  for (let round = 0; round < 4; round++) {
    await engine.ok("run", "-d", "--name", "away", "--restart", "always", "busybox", "sleep", "1000");
    const pid = Number(await engine.inspect("away", "{{.State.Pid}}"));
    await engine.endDaemon("SIGKILL");
    process.kill(pid, "SIGKILL");
    await engine.startDaemon();
    const ran = await engine.docker("rm", "-f", "away");
    assert.deepEqual([ran.code, ran.stderr, await engine.ok("ps", "-aq")], [0, "", ""]);
  }
});

test("a stop outlives the engine: what was stopped by hand is not started by its policy when the engine was killed meanwhile", async () => {
  const command = ["sh", "-c", "trap 'sleep 1; exit 0' TERM; while :; do sleep 0.1; done"];
  await engine.ok("run", "-d", "--name", "slow", "--restart", "unless-stopped", "busybox", ...command);
  const pid = await engine.inspect("slow", "{{.State.Pid}}");
  const stopping = engine.docker("stop", "slow");
  await until("the stop was told", async () => {
    const since = await engine.docker("events", "--since", "1m", "--until", "0s", "--filter", "event=kill");
    return since.stdout.includes("name=slow");
  });
  await engine.endDaemon("SIGKILL");
  await stopping;
  await engine.startDaemon();
  await until("it has ended", async () => (await engine.inspect("slow", "{{.State.Status}}")) === "exited", 5000);
  assert.notEqual(await engine.inspect("slow", "{{.State.Pid}}"), pid);
  await engine.ok("rm", "slow");
});
