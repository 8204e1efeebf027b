import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { type Ran, TestEngine, until } from "../engine.ts";
import { childNamed, daemon, isAlive, parent, pidOf } from "../survivors.ts";

let engine: TestEngine;
let since = "";
before(async () => {
  engine = await TestEngine.start();
  since = String(Math.floor(Date.now() / 1000));
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

/** Ends with 42 when it is told to: at a moment of the test's choice. */
const obedient = ["busybox", "sh", "-c", "trap 'exit 42' TERM; while :; do sleep 0.02; done"] as const;

const victims: readonly (readonly [string, (pid: number) => number])[] = [
  ["hull-containerd", () => daemon(engine, "hull-containerd")],
  ["hull-containerd's keel serve", () => childNamed(daemon(engine, "hull-containerd"), "keel-serve")],
  ["hull-netd", () => daemon(engine, "hull-netd")],
  ["the shim", (pid) => parent(pid)],
  ["pause", (pid) => parent(parent(pid))],
];

/** Every event of a container so far, as "action" or "action code". */
async function eventsOf(id: string): Promise<string[]> {
  const until = String(Math.ceil(Date.now() / 1000) + 1);
  const format = '{{.Action}} {{with index .Actor.Attributes "exitCode"}}{{.}}{{end}}';
  const args = ["--since", since, "--until", until, "--filter", `container=${id}`, "--filter", "type=container"];
  return (await engine.ok("events", ...args, "--format", format)).split("\n").map((line) => line.trim());
}

for (const [name, find] of victims) {
  test(`an exit right after a SIGKILL of ${name} is told once, with its code, to events, wait and inspect`, async () => {
    const id = await engine.ok("run", "-d", ...obedient);
    const pid = await pidOf(engine, id);
    const waiting = engine.docker("wait", id);
    await until("its trap is set", async () => (await engine.ok("top", id, "-o", "pid,args")).includes("sleep 0.02"));
    process.kill(find(pid), "SIGKILL");
    process.kill(pid, "SIGTERM");
    assert.equal((await waiting).stdout.trim(), "42");
    assert.equal(await engine.inspect(id, "{{.State.Status}} {{.State.ExitCode}}"), "exited 42");
    const dies = (await eventsOf(id)).filter((event) => event.startsWith("die"));
    assert.deepEqual(dies, ["die 42"]);
    await engine.ok("rm", id);
  });

  test(`a restart policy answers an exit right after a SIGKILL of ${name} once`, async () => {
    const id = await engine.ok("run", "-d", "--restart", "always", ...obedient);
    const pid = await pidOf(engine, id);
    await until("its trap is set", async () => (await engine.ok("top", id, "-o", "pid,args")).includes("sleep 0.02"));
    process.kill(find(pid), "SIGKILL");
    process.kill(pid, "SIGTERM");
    const again = async () => (await engine.inspect(id, "{{.State.Status}} {{.State.Pid}}")).split(" ");
    await until("it runs again", async () => {
      const [status, now] = await again();
      return status === "running" && Number(now) !== pid;
    });
    // A second answer would have come by the time of an exec and the next look.
    await until("exec works", async () => (await engine.docker("exec", id, "true")).code === 0);
    assert.equal(await engine.inspect(id, "{{.RestartCount}}"), "1");
    const told = (await eventsOf(id)).filter((event) => /^(die|start)\b/.test(event));
    assert.deepEqual(told, ["start", "die 42", "start"]);
    await engine.ok("rm", "-f", id);
  });
}

test("an exec that ends while hull-containerd is away has its exit code", async () => {
  const id = await engine.ok("run", "-d", "busybox", "sleep", "1000");
  const command = ["exec", id, "sh", "-c", "touch /ready; while [ ! -e /go ]; do sleep 0.01; done; exit 7"];
  const running: Promise<Ran> = engine.docker(...command);
  await until("it runs", async () => (await engine.docker("exec", id, "test", "-e", "/ready")).code === 0);
  const root = `/proc/${await pidOf(engine, id)}/root`;
  process.kill(daemon(engine, "hull-containerd"), "SIGKILL");
  writeFileSync(`${root}/go`, "");
  assert.equal((await running).code, 7);
  await engine.ok("rm", "-f", id);
});

test("exits while hulld is away are told once by the next one, with their codes; a restart policy answers once", async () => {
  const plain = await engine.ok("run", "-d", ...obedient);
  const policy = await engine.ok("run", "-d", "--restart", "always", ...obedient);
  const pids = [await pidOf(engine, plain), await pidOf(engine, policy)];
  for (const id of [plain, policy])
    await until("its trap is set", async () => (await engine.ok("top", id, "-o", "pid,args")).includes("sleep 0.02"));
  await engine.endDaemon("SIGKILL");
  since = String(Math.floor(Date.now() / 1000));
  for (const pid of pids) process.kill(pid, "SIGTERM");
  await until("both have ended", () => pids.every((pid) => !isAlive(pid)));
  await engine.startDaemon();
  await until(
    "the exit is known",
    async () => (await engine.inspect(plain, "{{.State.Status}} {{.State.ExitCode}}")) === "exited 42",
  );
  await until("the policy has answered", async () => (await engine.inspect(policy, "{{.State.Status}}")) === "running");
  assert.deepEqual(
    (await eventsOf(plain)).filter((event) => event.startsWith("die")),
    ["die 42"],
  );
  const told = (await eventsOf(policy)).filter((event) => /^(die|start)\b/.test(event));
  assert.deepEqual(told, ["die 42", "start"]);
  await engine.ok("rm", "-f", plain, policy);
});
