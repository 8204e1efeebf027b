/** Engines with different firewall backends beside each other, and one that changes its backend. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { TestEngine, until } from "../engine.ts";
import { NetworkLab, webStatus } from "../network-lab.ts";

const lab = new NetworkLab();
const changing = ["--firewall-backend", "nftables"];
let steady: TestEngine;
let engine: TestEngine;

before(async () => {
  // FORWARD drops from now on what nobody accepts in iptables: the first engine turns forwarding on.
  lab.sh("echo 0 > /proc/sys/net/ipv4/ip_forward");
  steady = await TestEngine.start({ wrap: lab.inside });
  assert.match(lab.rules(), /:FORWARD DROP/);
  engine = await TestEngine.start({ wrap: lab.inside, args: changing });
});
after(async () => {
  for (const one of [engine, steady]) await one[Symbol.asyncDispose]();
  lab[Symbol.dispose]();
});

const server = ["busybox", "httpd", "-f", "-p", "80", "-h", "/etc"];

async function assertAllWorks(): Promise<void> {
  for (const port of [8080, 8090]) {
    await until(`${port} answers`, async () => (await webStatus(lab.inside, "127.0.0.1", port)) === "404");
    await until(`${port} answers outside`, async () => (await webStatus(lab.outside, lab.host4, port)) === "404");
  }
  for (const one of [steady, engine]) {
    const outwards = await one.docker("exec", "web", "busybox", "ping", "-c", "1", "-W", "2", lab.outside4);
    assert.equal(outwards.code, 0, outwards.stdout);
    for (const port of [8080, 8090]) {
      const across = await one.docker("exec", "web", "nc", "-w", "2", lab.host4, String(port));
      assert.equal(across.code, 0, `${port}: ${across.stderr}`);
    }
  }
}

const bridge = () => engine.inspect("bridge", '{{index .Options "com.docker.network.bridge.name"}}');
const tables = (): string[] | null => lab.ruleset().match(/table ip6? hull-[0-9a-f]{8}/g);

test("an engine with nftables works beside one with iptables whose FORWARD drops", async () => {
  await steady.ok("run", "-d", "--name", "web", "-p", "8080:80", ...server);
  await engine.ok("run", "-d", "--name", "web", "-p", "8090:80", ...server);
  await assertAllWorks();
  assert.equal(tables()?.length, 1);
  assert.equal(await engine.ok("info", "-f", "{{.FirewallBackend.Driver}}"), "nftables");
});

test("an engine that changes to iptables takes its tables away, and its containers go on", async () => {
  await engine.endDaemon("SIGTERM");
  changing[1] = "iptables";
  await engine.startDaemon();
  await until("its table has gone", () => tables() === null);
  await assertAllWorks();
});

test("an engine that changes to nftables takes its rules away from iptables, and nobody else's", async () => {
  await engine.endDaemon("SIGTERM");
  changing[1] = "nftables";
  await engine.startDaemon();
  await until("its table is back", () => tables()?.length === 1);
  await assertAllWorks();
  const name = await bridge();
  const passing = [`-A FORWARD -o ${name} -j ACCEPT`, `-A FORWARD -i ${name} -j ACCEPT`];
  assert.deepEqual(
    lab
      .rules()
      .split("\n")
      .filter((line) => line.includes(name)),
    passing,
  );
});

test("the last to go undoes what was changed for all", async () => {
  await steady.ok("rm", "-f", "web");
  await steady.endDaemon("SIGTERM");
  await until("its rules have gone", () => !/hull0|DOCKER/.test(lab.rules()));
  assert.equal(await webStatus(lab.outside, lab.host4, 8090), "404");
  await engine.ok("rm", "-f", "web");
  await engine.endDaemon("SIGTERM");
  await until("nothing is left", () => !/hull|FORWARD DROP/.test(lab.rules() + lab.ruleset()));
  assert.equal(lab.sh("cat /proc/sys/net/ipv4/ip_forward").trim(), "0");
});
