/** Addresses that are used again, and bridges that are made again, are reached at once by those who knew them before. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { TestEngine, until } from "../engine.ts";
import { NetworkLab, webStatus } from "../network-lab.ts";

const lab = new NetworkLab();
let engine: TestEngine;

before(async () => {
  engine = await TestEngine.start({ wrap: lab.inside });
});
after(async () => {
  await engine[Symbol.asyncDispose]();
  lab[Symbol.dispose]();
});

const httpd = ["busybox", "httpd", "-f", "-p", "80", "-h", "/etc"];
const v4 = "10.66.0.9";
const v6 = "2001:db8:66::9";
const ROUNDS = 3;
const PATIENCE_MS = 1000;

/** The namespace of a container as a prefix of commands. */
const inside = async (name: string) => ["nsenter", "-t", await engine.inspect(name, "{{.State.Pid}}"), "-n"];

test("an address that the next container gets answers at once to the host, to neighbours and to the world", {
  timeout: 60_000,
}, async () => {
  await engine.ok("network", "create", "--ipv6", "--subnet", "10.66.0.0/24", "--subnet", "2001:db8:66::/64", "again");
  await engine.ok("run", "-d", "--name", "neighbour", "--network", "again", "busybox", "sleep", "1000");
  const neighbour = await inside("neighbour");
  const hardware = new Set<string>();
  for (let round = 0; round < ROUNDS; round++) {
    const addresses = ["--ip", v4, "--ip6", v6];
    await engine.ok("run", "-d", "--name", "server", "--network", "again", ...addresses, "-p", "8400:80", ...httpd);
    hardware.add(await engine.inspect("server", "{{.NetworkSettings.Networks.again.MacAddress}}"));
    const asked = [
      [lab.inside, v4, 80],
      [lab.inside, v6, 80],
      [neighbour, v4, 80],
      [neighbour, v6, 80],
      [lab.outside, lab.host4, 8400],
      [lab.outside, lab.host6, 8400],
    ] as const;
    for (const [from, address, port] of asked) {
      const what = `round ${round}: ${from.join(" ")} to ${address}`;
      await until(what, async () => (await webStatus(from, address, port)) === "404", PATIENCE_MS);
    }
    await engine.ok("rm", "-f", "server");
  }
  assert.equal(hardware.size, ROUNDS, "each had a hardware address of its own");
  await engine.ok("rm", "-f", "neighbour");
});

test("containers reach the world at once through a bridge that somebody deleted", { timeout: 60_000 }, async () => {
  await engine.ok("run", "-d", "--name", "traveller", "busybox", "sleep", "1000");
  const reaches = async () =>
    (await engine.docker("exec", "traveller", "ping", "-c", "1", "-W", "1", lab.outside4)).code === 0;
  await until("the world is there", reaches);
  const hardware = () => /link\/ether (\S+)/.exec(lab.sh("ip -o link show hull0"))?.[1] ?? "none";
  const before = hardware();
  lab.sh("ip link del hull0");
  await until("the bridge is back", () => lab.sh("ip link").includes("hull0:"), PATIENCE_MS);
  await until("the world is back", reaches, PATIENCE_MS);
  assert.equal(hardware(), before, "containers remember it");
  await engine.ok("rm", "-f", "traveller");
});
