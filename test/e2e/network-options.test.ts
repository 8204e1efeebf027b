/** Options of networks and of published ports that decide who reaches whom. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { after, before, test } from "node:test";
import { run, TestEngine, until } from "../engine.ts";
import { firewallBackend, NetworkLab, webStatus } from "../network-lab.ts";

const lab = new NetworkLab();
let engine: TestEngine;
let mirror: ChildProcess;

before(async () => {
  engine = await TestEngine.start({ wrap: lab.inside, args: ["--firewall-backend", firewallBackend] });
  const [program, ...args] = lab.outside;
  const listener = ["socat", "TCP4-LISTEN:7000,fork,reuseaddr", "SYSTEM:echo $SOCAT_PEERADDR"];
  mirror = spawn(program!, [...args, ...listener], { stdio: "ignore" });
});
after(async () => {
  mirror.kill("SIGKILL");
  await engine[Symbol.asyncDispose]();
  lab[Symbol.dispose]();
});

const open = "404";
const closed = "000";
const httpd = ["busybox", "httpd", "-f", "-p", "80", "-h", "/etc"];
const driver = (name: string, value: string) => ["-o", `com.docker.network.bridge.${name}=${value}`];
const inside = async (name: string) => ["nsenter", "-t", await engine.inspect(name, "{{.State.Pid}}"), "-n"];
const addressOf = (name: string): Promise<string> =>
  engine.inspect(name, "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}");
const serve = (name: string, ...flags: string[]) => engine.ok("run", "-d", "--name", name, ...flags, ...httpd);
/** The address by which the machine outside knows who connects; empty when nobody gets there. */
const knownAs = async (name: string): Promise<string> =>
  (await engine.docker("exec", name, "nc", "-w", "2", lab.outside4, "7000")).stdout.trim();

async function remove(network: string, ...names: string[]): Promise<void> {
  await engine.ok("rm", "-f", ...names);
  await engine.ok("network", "rm", network);
}

test("an internal network has neighbours and nobody else", async () => {
  await engine.ok("network", "create", "--internal", "cellar");
  for (const name of ["mouse", "cat"]) await serve(name, "--network", "cellar");
  await serve("cook", "-p", "8600:80");
  assert.equal(await webStatus(await inside("mouse"), await addressOf("cat"), 80), open);
  assert.equal(await webStatus(await inside("cook"), await addressOf("cat"), 80), closed);
  assert.equal(await webStatus(await inside("mouse"), await addressOf("cook"), 80), closed);
  assert.equal(await webStatus(await inside("mouse"), lab.host4, 8600), closed);
  assert.equal(await knownAs("mouse"), "");
  assert.doesNotMatch(await engine.ok("exec", "mouse", "ip", "route"), /default/);
  await remove("cellar", "mouse", "cat", "cook");
});

test("a network without inter-container communication lets published ports through alone", async () => {
  await engine.ok("network", "create", ...driver("enable_icc", "false"), "strict");
  await serve("one", "--network", "strict", "-p", "8610:80");
  await serve("two", "--network", "strict");
  assert.equal(await webStatus(await inside("two"), await addressOf("one"), 80), closed);
  assert.equal(await webStatus(lab.outside, lab.host4, 8610), open);
  await until("the world is reached", async () => (await knownAs("two")) === lab.host4);
  await remove("strict", "one", "two");
});

test("without masquerading the world sees the container's own address", async () => {
  await engine.ok("network", "create", "--subnet", "10.88.0.0/24", ...driver("enable_ip_masquerade", "false"), "naked");
  await serve("bare", "--network", "naked");
  await run([...lab.outside, "ip", "route", "add", "10.88.0.0/24", "via", lab.host4], {});
  const own = await addressOf("bare");
  await until("it is known by its own address", async () => (await knownAs("bare")) === own);
  await remove("naked", "bare");
});

test("a network's host address is where its ports are published", async () => {
  await engine.ok("network", "create", ...driver("host_binding_ipv4", "127.0.0.1"), "shy");
  await serve("hidden", "--network", "shy", "-p", "8620:80");
  assert.equal(await webStatus(lab.inside, "127.0.0.1", 8620), open);
  assert.equal(await webStatus(lab.outside, lab.host4, 8620), closed);
  await remove("shy", "hidden");
});

test("ports of one IPv6 address answer there only", async () => {
  await serve("six", "-p", "[::1]:8630:80", "-p", `[${lab.host6}]:8631:80`);
  const expected = [
    [lab.inside, "::1", 8630, open],
    [lab.inside, "127.0.0.1", 8630, closed],
    [lab.outside, lab.host6, 8630, closed],
    [lab.inside, lab.host6, 8631, open],
    [lab.outside, lab.host6, 8631, open],
    [lab.outside, lab.host4, 8631, closed],
  ] as const;
  for (const [from, address, port, status] of expected) {
    assert.equal(await webStatus(from, address, port), status, `${address} ${port}`);
  }
  await engine.ok("rm", "-f", "six");
});

test("a gateway that routes gives the world the container's address, for published ports alone", async () => {
  const routed = driver("gateway_mode_ipv4", "routed");
  await engine.ok("network", "create", "--subnet", "10.89.0.0/24", ...routed, "straight");
  await serve("direct", "--network", "straight", "-p", "80");
  await run([...lab.outside, "ip", "route", "add", "10.89.0.0/24", "via", lab.host4], {});
  const own = await addressOf("direct");
  await until("its port answers", async () => (await webStatus(lab.outside, own, 80)) === open);
  assert.equal(await webStatus(lab.outside, own, 81), closed);
  await remove("straight", "direct");
});

test("range, gateway, auxiliary and hardware addresses are as asked", async () => {
  const pool = ["--subnet", "10.87.0.0/24", "--ip-range", "10.87.0.128/25", "--gateway", "10.87.0.1"];
  await engine.ok("network", "create", ...pool, "--aux-address", "printer=10.87.0.128", "exact");
  await serve("first", "--network", "exact", "--mac-address", "02:42:0a:57:00:77");
  assert.equal(await addressOf("first"), "10.87.0.129");
  assert.match(await engine.ok("exec", "first", "ip", "link", "show", "eth0"), /02:42:0a:57:00:77/);
  assert.match(await engine.ok("exec", "first", "ip", "route"), /default via 10\.87\.0\.1 /);
  await remove("exact", "first");
});
