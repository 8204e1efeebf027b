import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Engine, request, TestHost, tcp, until } from "./netd-harness.ts";

const QUIET_MS = 3000;
const host = new TestHost();
let first: Engine;
let second: Engine;
let dockerd: ChildProcess;
const dockerSocket = join(host.directory, "docker.sock");

async function startDockerd(): Promise<void> {
  const roots = ["--data-root", join(host.directory, "docker"), "--exec-root", join(host.directory, "docker-exec")];
  const files = ["--pidfile", join(host.directory, "docker.pid"), "-H", `unix://${dockerSocket}`];
  dockerd = host.background("dockerd", ...roots, ...files, "--storage-driver", "vfs", "--log-level", "fatal");
  await until("dockerd", () => host.run("docker", "-H", `unix://${dockerSocket}`, "version").status === 0, 20_000);
}

async function stopDockerd(): Promise<void> {
  host.sh(`kill $(cat ${join(host.directory, "docker.pid")})`);
  await until("the end of dockerd", () => dockerd.exitCode !== null, 20_000);
}

before(async () => {
  await host.ready();
  host.sh("mkdir -p /run/netns");
  first = await host.engine("a");
  second = await host.engine("b", "--bridge", "other0");
  await startDockerd();
});
after(async () => {
  await host[Symbol.asyncDispose]();
});

const get = (port: number): string =>
  host.run("curl", "-sS", "-m", "2", `http://127.0.0.1:${port}/${port}.html`).stdout;
const bothAnswer = (): boolean => get(18101) === "18101" && get(18102) === "18102";

/** For some seconds nobody repairs anything, and the rules stay as they are. */
async function assertQuiet(): Promise<void> {
  await until("both ports", bothAnswer);
  const repairs = async (): Promise<number[]> =>
    (await Promise.all([first, second].map((engine) => engine.client.call("status", {})))).map(
      (status) => status.repairs,
    );
  const rules = (): string => host.sh("iptables-save | grep '^[-:]' | sed 's/\\[.*//'");
  await new Promise((resolve) => setTimeout(resolve, 500));
  const before = { repairs: await repairs(), rules: rules() };
  const end = Date.now() + QUIET_MS;
  while (Date.now() < end) {
    assert.ok(bothAnswer());
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  assert.deepEqual({ repairs: await repairs(), rules: rules() }, before);
}

test("two engines and dockerd have pools and bridges of their own, and all ports answer", {
  timeout: 60_000,
}, async () => {
  for (const [engine, port] of [
    [first, 18101],
    [second, 18102],
  ] as const) {
    await engine.client.call("connect", request("web", { ports: [tcp(port, 80)] }));
    host.file(`${port}.html`, String(port));
    host.insideBackground(engine, "web", "busybox", "httpd", "-f", "-p", "80", "-h", host.directory);
  }
  const subnets = host.sh("ip -o -4 addr show").match(/172\.\d+\.0\.1\/16/g);
  assert.equal(new Set(subnets).size, 3, String(subnets));
  await assertQuiet();
});

test("a port of one engine is refused to the other", { timeout: 60_000 }, async () => {
  await assert.rejects(
    second.client.call("connect", request("thief", { ports: [tcp(18101, 80)] })),
    /address already in use/,
  );
});

test("containers of one engine do not reach those of the other", { timeout: 60_000 }, async () => {
  const { endpoints } = await second.client.call("inspect", { containerId: "web" });
  const url = `http://${endpoints[0]!.ip}/18102.html`;
  assert.equal(host.inside(first, "web", "curl", "-sS", "-m", "1", url).stdout, "");
});

test("no rule flaps after dockerd was restarted, which takes shared chains away at its start", {
  timeout: 60_000,
}, async () => {
  await stopDockerd();
  await startDockerd();
  host.sh(`docker -H unix://${dockerSocket} network create x >/dev/null`);
  await assertQuiet();
});

test("no rule flaps after an engine was restarted", { timeout: 60_000 }, async () => {
  await host.restart(first);
  await assertQuiet();
});

test("an engine that goes leaves the rules of the others, and forwarding", { timeout: 60_000 }, async () => {
  await first.client.call("release", { containerId: "web" });
  await host.stop(first);
  assert.equal(get(18102), "18102");
  assert.doesNotMatch(host.sh("iptables-save"), /hull0/);
  assert.match(host.sh("iptables-save"), /-A DOCKER-BRIDGE -o other0 -j DOCKER/);
  assert.match(host.sh("iptables-save"), /docker0/);
  assert.equal(host.sh("cat /proc/sys/net/ipv4/ip_forward").trim(), "1");
  assert.ok(existsSync(dockerSocket));
});
