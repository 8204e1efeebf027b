/** Several engines without any flags in one network namespace. */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { REFUSED_EXIT } from "./api.ts";
import { type Engine, request, TestHost, tcp, until } from "./netd-harness.ts";

const QUIET_MS = 3000;
const host = new TestHost();
let engines: Engine[];

before(async () => {
  await host.ready();
  engines = await Promise.all(["a", "b", "c"].map((name) => host.engine(name)));
});
after(async () => {
  await host[Symbol.asyncDispose]();
});

const bridgeOf = async (engine: Engine): Promise<string> => (await engine.client.call("status", {})).defaultBridge;
const subnetOf = async (engine: Engine): Promise<string> =>
  (await engine.client.call("inspectNetwork", { network: "bridge" })).ipam[0]!.subnet!;
const repairs = async (engine: Engine): Promise<number> => (await engine.client.call("status", {})).repairs;
const rules = (): string => host.sh("iptables-save | grep '^[-:]' | sed 's/\\[.*//'");
const get = (port: number): string =>
  host.run("curl", "-sS", "-m", "2", `http://127.0.0.1:${port}/${port}.html`).stdout;

test("engines that start at once have bridges and subnets of their own", { timeout: 60_000 }, async () => {
  const bridges = await Promise.all(engines.map(bridgeOf));
  assert.deepEqual(bridges.toSorted(), ["hull0", "hull1", "hull2"]);
  assert.equal(new Set(await Promise.all(engines.map(subnetOf))).size, 3);
  const subnets = host.sh("ip -o -4 addr show").match(/172\.\d+\.0\.1\/16/g);
  assert.equal(new Set(subnets).size, 3, String(subnets));
});

test("the kernel says whose a bridge is", { timeout: 60_000 }, async () => {
  for (const engine of engines) {
    assert.match(
      host.sh(`ip link show ${await bridgeOf(engine)}`),
      new RegExp(`alias hull [0-9a-f]{16} ${engine.execRoot}\n`),
    );
  }
});

test("their ports answer at once and no rule flaps", { timeout: 60_000 }, async () => {
  for (const [index, engine] of engines.entries()) {
    const port = 18201 + index;
    await engine.client.call("connect", request("web", { ports: [tcp(port, 80)] }));
    host.file(`${port}.html`, String(port));
    host.insideBackground(engine, "web", "busybox", "httpd", "-f", "-p", "80", "-h", host.directory);
  }
  const answer = (): boolean => [18201, 18202, 18203].every((port) => get(port) === String(port));
  await until("all ports", answer);
  const look = async () => ({ rules: rules(), repairs: await Promise.all(engines.map(repairs)) });
  const before = await look();
  const end = Date.now() + QUIET_MS;
  while (Date.now() < end) {
    assert.ok(answer());
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  assert.deepEqual(await look(), before);
});

test("networks that two engines make at once have subnets of their own", { timeout: 60_000 }, async () => {
  const made = await Promise.all(
    engines.flatMap((engine) =>
      ["x", "y"].map((name) => engine.client.call("createNetwork", { name: `${name}-${engine.name}` })),
    ),
  );
  const subnets = made.map(({ ipam }) => ipam[0]!.subnet);
  assert.equal(new Set(subnets).size, 6, String(subnets));
  for (const [index, engine] of engines.entries()) {
    for (const { name } of made.slice(2 * index, 2 * index + 2))
      await engine.client.call("removeNetwork", { network: name });
  }
});

test("a killed engine comes back with its bridge and its subnet", { timeout: 60_000 }, async () => {
  const look = () => Promise.all(engines.map(async (engine) => [await bridgeOf(engine), await subnetOf(engine)]));
  const before = await look();
  await host.kill(engines[1]!);
  const newcomer = await host.engine("newcomer");
  assert.equal(await bridgeOf(newcomer), "hull3");
  await host.revive(engines[1]!);
  assert.deepEqual(await look(), before);
  await host.stop(newcomer);
});

test("an engine that ended takes its bridge away, and finds another when its name was taken meanwhile", {
  timeout: 60_000,
}, async () => {
  const leaver = await host.engine("leaver");
  assert.equal(await bridgeOf(leaver), "hull3");
  const subnet = await subnetOf(leaver);
  await host.stop(leaver);
  assert.notEqual(host.run("ip", "link", "show", "hull3").status, 0);
  const heir = await host.engine("heir");
  assert.equal(await bridgeOf(heir), "hull3");
  const ruled = rules();
  await host.revive(leaver);
  assert.equal(await bridgeOf(leaver), "hull4");
  assert.notEqual(await subnetOf(leaver), await subnetOf(heir));
  assert.notEqual(subnet, await subnetOf(leaver));
  await host.stop(leaver);
  assert.equal(rules(), ruled, "the heir's rules are as they were");
  await host.stop(heir);
});

test("a bridge asked for that another engine has is refused, and nothing changes", { timeout: 60_000 }, async () => {
  const before = rules();
  const { code, stderr } = await host.failingEngine("thief", "--bridge", "hull0");
  assert.equal(code, REFUSED_EXIT);
  assert.match(stderr, /the bridge hull0 belongs to another hull engine \(exec root .*\): give another name/);
  assert.equal(rules(), before);
});

test("a bridge asked for that nobody has is used with its address, and left behind as it was", {
  timeout: 60_000,
}, async () => {
  host.sh("ip link add uplink0 type bridge; ip addr add 10.77.0.9/24 dev uplink0; ip link set uplink0 up group 5");
  const shown = () => host.sh("ip link show uplink0").match(/group \S+|alias .*/g);
  const before = shown();
  const engine = await host.engine("guest", "--bridge", "uplink0");
  assert.equal(await subnetOf(engine), "10.77.0.0/24");
  assert.match(String(shown()), /alias hull /);
  await host.restart(engine);
  await engine.client.call("connect", request("g"));
  await engine.client.call("release", { containerId: "g" });
  await host.stop(engine);
  assert.deepEqual(shown(), before);
  assert.match(host.sh("ip addr show uplink0"), /10\.77\.0\.9\/24/);
  assert.doesNotMatch(rules(), /uplink0/);
  host.sh("ip link del uplink0");
});

test("what a killed engine left is taken away by the next one when its root is gone, and not before", {
  timeout: 60_000,
}, async () => {
  const goner = await host.engine("goner", "--namespace-pool", "0");
  await goner.client.call("createNetwork", { name: "extra" });
  const left = [await bridgeOf(goner), (await goner.client.call("inspectNetwork", { network: "extra" })).bridgeName];
  await host.kill(goner);
  const early = await host.engine("early");
  for (const name of left) assert.equal(host.run("ip", "link", "show", name).status, 0);
  assert.match(rules(), new RegExp(left[0]!));
  await host.stop(early);
  rmSync(join(host.directory, "goner"), { recursive: true });
  const late = await host.engine("late", "--bridge", "late0");
  for (const name of left) {
    assert.notEqual(host.run("ip", "link", "show", name).status, 0);
    assert.doesNotMatch(rules(), new RegExp(name));
  }
  await host.stop(late);
});
