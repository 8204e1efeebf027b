/** Engines without any network flags, and Debian's dockerd, in one network namespace of their own. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { PeerDocker } from "../../bench/peer-docker.ts";
import { run, TestEngine, until } from "../engine.ts";
import { firewallBackend } from "../network-lab.ts";
import { root } from "../tidy/source-tree.ts";

const namespace = `hulltwo${process.pid}`;
const inside = ["nsenter", `--net=/run/netns/${namespace}`];
const sh = (script: string): string => execFileSync(inside[0]!, [...inside.slice(1), "sh", "-c", script]).toString();
const QUIET_MS = 30_000;
const LOOK_MS = 1000;

let engines: TestEngine[] = [];

before(async () => {
  execFileSync("ip", ["netns", "add", namespace]);
  sh("ip link set lo up");
  engines = await Promise.all(
    [1, 2].map(() => TestEngine.start({ wrap: inside, args: ["--firewall-backend", firewallBackend] })),
  );
});
after(async () => {
  for (const engine of engines) await engine[Symbol.asyncDispose]();
  execFileSync("ip", ["netns", "del", namespace]);
});

const rules = (): string => sh("nft list ruleset").replace(/packets \d+ bytes \d+/g, "");
const answers = (port: number): boolean =>
  spawnSync(inside[0]!, [...inside.slice(1), "curl", "-sS", "-m", "2", "-o", "/dev/null", `http://127.0.0.1:${port}/`])
    .status === 0;
const server = ["busybox", "httpd", "-f", "-p", "80", "-h", "/etc"];
const serve = (port: number) => ["run", "-d", "--name", "web", "-p", `${port}:80`, ...server];

/** The ports answer all the time, and nobody changes a rule: not to break it, not to put it back. */
async function assertQuiet(ports: readonly number[], quietMs: number): Promise<void> {
  await until("every port answers", () => ports.every(answers));
  const first = rules();
  const end = performance.now() + quietMs;
  while (performance.now() < end) {
    assert.deepEqual(
      ports.map(answers),
      ports.map(() => true),
    );
    assert.equal(rules(), first);
    await delay(LOOK_MS);
  }
}

test("two engines without flags have bridges, subnets and rules of their own, and their ports answer", async () => {
  const bridges = await Promise.all(
    engines.map((engine) => engine.inspect("bridge", '{{index .Options "com.docker.network.bridge.name"}}')),
  );
  assert.deepEqual(bridges.toSorted(), ["hull0", "hull1"]);
  const subnets = await Promise.all(
    engines.map((engine) => engine.inspect("bridge", "{{(index .IPAM.Config 0).Subnet}}")),
  );
  assert.notEqual(subnets[0], subnets[1]);
  for (const [index, engine] of engines.entries()) await engine.ok(...serve(18301 + index));
  await assertQuiet([18301, 18302], 3000);
});

test("a bridge of another engine, asked for by name, is refused at start with what to do", async () => {
  const directory = `${engines[0]!.path("thief")}`;
  const roots = ["--data-root", `${directory}/data`, "--exec-root", `${directory}/run`];
  const command = [
    ...inside,
    `${root}/dist/bin/hulld`,
    ...roots,
    "--host",
    `unix://${directory}/s`,
    "--bridge",
    "hull0",
  ];
  const ended = await run(command, {});
  assert.equal(ended.code, 1, ended.stderr);
  assert.match(ended.stderr, /failed to start daemon: the bridge hull0 belongs to another hull engine \(exec root /);
  assert.match(ended.stderr, /give another name with --bridge/);
  assert.ok(answers(18301));
});

test("two engines and dockerd publish ports at once, each is restarted in turn, and no rule flaps for 30 s", {
  timeout: 300_000,
}, async () => {
  const archive = engines[0]!.path("busybox.tar");
  await engines[0]!.ok("save", "-o", archive, "busybox");
  await using peer = await PeerDocker.start(archive, namespace);
  const started = await run(["docker", ...serve(18303)], peer.env);
  assert.equal(started.code, 0, started.stderr);
  const ports = [18301, 18302, 18303];
  await assertQuiet(ports, 2000);
  for (const engine of engines) {
    await engine.endDaemon("SIGTERM");
    await engine.startDaemon();
    await until("every port answers", () => ports.every(answers));
  }
  await peer.restart();
  assert.equal((await run(["docker", "start", "web"], peer.env)).code, 0);
  await assertQuiet(ports, QUIET_MS);
});

test("an engine that ends without containers leaves nothing of its own and everything of the others", async () => {
  const [first, second] = engines as [TestEngine, TestEngine];
  const [mine, theirs] = await Promise.all(
    engines.map((engine) => engine.inspect("bridge", '{{index .Options "com.docker.network.bridge.name"}}')),
  );
  await first.ok("rm", "-f", "web");
  await first.endDaemon("SIGTERM");
  await until("its bridge has gone", () => !sh("ip link").includes(`${mine}:`));
  assert.doesNotMatch(rules(), new RegExp(`${mine}\\b`));
  assert.match(rules(), new RegExp(`\\b${theirs}\\b`));
  assert.ok(answers(18302));
  assert.equal(sh("cat /proc/sys/net/ipv4/ip_forward").trim(), "1");
  await second.ok("rm", "-f", "web");
  await second.endDaemon("SIGTERM");
  await until("its bridge has gone", () => !sh("ip link").includes(`${theirs}:`));
});
