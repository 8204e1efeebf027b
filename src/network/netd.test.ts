import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Engine, request, TestHost, tcp, until } from "./netd-harness.ts";

const host = new TestHost();
let engine: Engine;

before(async () => {
  await host.ready();
  engine = await host.engine("a");
});
after(async () => {
  await host[Symbol.asyncDispose]();
});

const connect = (id: string, more: Parameters<typeof request>[1] = {}) =>
  engine.client.call("connect", request(id, more));
const release = (id: string) => engine.client.call("release", { containerId: id });
const rules = (): string[] =>
  host
    .sh("iptables-save")
    .split("\n")
    .filter((line) => line.startsWith("-A"));

/** A web server in a container's namespace that answers with its id. */
async function serve(id: string, port = 80): Promise<void> {
  const page = host.file(`${id}.html`, id);
  host.insideBackground(
    engine,
    id,
    "busybox",
    "httpd",
    "-f",
    "-p",
    String(port),
    "-h",
    page.slice(0, page.lastIndexOf("/")),
  );
  await until("the web server", () => host.inside(engine, id, "sh", "-c", `ss -ltn | grep -q :${port}`).status === 0);
}
const get = (url: string): string => host.run("curl", "-sS", "-m", "3", url).stdout;
const getInside = (id: string, url: string): string => host.inside(engine, id, "curl", "-sS", "-m", "3", url).stdout;

test("a container gets the first address of the default bridge, its route and its end on the bridge", async () => {
  const connected = await connect("c1");
  const [endpoint] = connected.endpoints;
  assert.equal(endpoint!.gateway, "172.17.0.1");
  assert.match(host.inside(engine, "c1", "ip", "-4", "addr", "show", "eth0").stdout, new RegExp(`${endpoint!.ip}/16`));
  assert.match(host.inside(engine, "c1", "ip", "route").stdout, /default via 172\.17\.0\.1 dev eth0/);
  assert.match(host.sh("ip -o link show master hull0"), /veth[0-9a-f]{7}@if\d+: .*master hull0/);
  assert.equal(host.inside(engine, "c1", "cat", "/proc/sys/net/ipv6/conf/eth0/disable_ipv6").stdout.trim(), "1");
  await release("c1");
});

test("connecting again gives the same answer, as a restart needs", async () => {
  const first = await connect("again");
  const second = await connect("again");
  assert.deepEqual(second.endpoints, first.endpoints);
  await release("again");
  await release("again");
});

test("a container without published ports changes no rule", async () => {
  const was = rules();
  await connect("silent");
  assert.deepEqual(rules(), was);
  await release("silent");
});

test("a published port answers on 127.0.0.1, ::1, the host's addresses, from a neighbour and from itself", async () => {
  await connect("web", { ports: [tcp(18080, 80)] });
  await connect("peer");
  await serve("web");
  for (const address of ["127.0.0.1", "[::1]", "198.51.100.1", "172.17.0.1"]) {
    assert.equal(get(`http://${address}:18080/web.html`), "web", address);
  }
  assert.equal(getInside("peer", "http://198.51.100.1:18080/web.html"), "web");
  assert.equal(getInside("web", "http://198.51.100.1:18080/web.html"), "web");
  assert.match(host.sh("iptables -t nat -L DOCKER -n"), /DNAT .* tcp dpt:18080 to:172\.17\.0\.\d+:80/);
  assert.match(host.sh("iptables -L DOCKER -n"), /ACCEPT .* tcp dpt:80/);
  assert.match(host.sh("iptables -t nat -L POSTROUTING -n"), /MASQUERADE .* tcp dpt:80/);
});

test("UDP is published too, and a flow that was there before does not go past it", async () => {
  const udp = { proto: "udp", hostPort: 18053, containerPort: 5353, hostIp: "" } as const;
  // One source port for all, so that the early packet's flow is the one that the later ones would follow.
  const talk = (address: string): string =>
    host.run("sh", "-c", `echo hi | timeout 2 socat -t 1 - 'UDP:${address}:18053,sourceport=40404'`).stdout;
  talk("198.51.100.1");
  await connect("udp", { ports: [udp] });
  host.insideBackground(engine, "udp", "socat", "UDP-RECVFROM:5353,fork", "SYSTEM:read x; echo got $x");
  await until("the UDP server", () => host.inside(engine, "udp", "sh", "-c", "ss -lun | grep -q :5353").status === 0);
  for (const address of ["198.51.100.1", "127.0.0.1", "[::1]"]) assert.equal(talk(address).trim(), "got hi", address);
  await release("udp");
});

test("without icc containers of a network do not meet, published ports still work", async () => {
  const options = { "com.docker.network.bridge.enable_icc": "false" };
  await engine.client.call("createNetwork", { name: "strict", options });
  const endpoints = [{ network: "strict" }];
  const one = await connect("s1", { endpoints, ports: [tcp(18070, 80)] });
  await connect("s2", { endpoints });
  await serve("s1");
  assert.equal(getInside("s2", `http://${one.endpoints[0]!.ip}/s1.html`), "");
  assert.equal(get("http://127.0.0.1:18070/s1.html"), "s1");
  for (const id of ["s1", "s2"]) await release(id);
  await engine.client.call("removeNetwork", { network: "strict" });
});

test("a network with IPv6 gives addresses and publishes on them", async () => {
  await engine.client.call("createNetwork", { name: "six", enableIPv6: true, ipam: [{ subnet: "fd00:6::/64" }] });
  const { endpoints } = await connect("v6", { endpoints: [{ network: "six" }], ports: [tcp(18066, 80)] });
  assert.match(endpoints[0]!.ip6, /^fd00:6::/);
  await serve("v6");
  assert.equal(get("http://[::1]:18066/v6.html"), "v6");
  assert.equal(get(`http://[${endpoints[0]!.ip6}]/v6.html`), "v6");
  assert.match(host.inside(engine, "v6", "ip", "-6", "route").stdout, /default via fd00:6::1 dev eth0/);
  await release("v6");
  await engine.client.call("removeNetwork", { network: "six" });
});

test("a port that is taken is refused in Docker's words and leaves nothing behind", async () => {
  await assert.rejects(connect("late", { ports: [tcp(18080, 80)] }), (error: Error) => {
    assert.match(
      error.message,
      /^driver failed programming external connectivity on endpoint late \([0-9a-f]{64}\): Bind for 0\.0\.0\.0:18080 failed: port is already allocated$/,
    );
    return true;
  });
  await assert.rejects(engine.client.call("inspect", { containerId: "late" }), { code: "not-found" });
  const busy = host.background("busybox", "nc", "-l", "-p", "18081");
  await until("the listener", () => host.run("sh", "-c", "ss -ltn | grep -q :18081").status === 0);
  await assert.rejects(connect("late", { ports: [tcp(18081, 80)] }), /address already in use/);
  busy.kill();
  await until("late's namespace is gone", () => !existsSync(join(engine.execRoot, "netns", "late")));
});

test("ephemeral and ranged host ports are chosen and told", async () => {
  const { ports } = await connect("ranged", { ports: [tcp(0, 90), { ...tcp(18080, 91), hostPortEnd: 18090 }] });
  const chosen = ports.map((port) => port.hostPort);
  assert.ok(chosen[0]! > 1024 && chosen[0] === chosen[1], "v4 and v6 agree");
  assert.deepEqual(
    chosen.slice(2),
    [18082, 18082].map((port) => Math.max(18081, Math.min(port, chosen[2]!))),
  );
  await release("ranged");
});

test("rules that others flush are back within a second, and say who did it", async () => {
  const was = rules().sort();
  const events = engine.client.stream("events", {});
  const next = events.next();
  await engine.client.call("ping", {});
  host.sh("iptables -F; iptables -t nat -F");
  await until("the rules are back", () => JSON.stringify(rules().sort()) === JSON.stringify(was), 1000);
  assert.equal(get("http://127.0.0.1:18080/web.html"), "web");
  const event = (await next).value;
  assert.ok(event && event.kind === "heal" && event.offender === "iptables", JSON.stringify(event));
  await events.return();
});

test("a deleted bridge is back within a second with its containers on it", async () => {
  host.sh("ip link del hull0");
  await until("the bridge", () => host.run("ip", "link", "show", "hull0").status === 0, 1000);
  await until("the page", () => get("http://127.0.0.1:18080/web.html") === "web", 1000);
});

test("the host's loopback is out of a container's reach", async () => {
  host.background("busybox", "httpd", "-f", "-p", "127.0.0.1:18099", "-h", host.directory);
  await until("the local server", () => get("http://127.0.0.1:18099/web.html") === "web");
  assert.equal(getInside("peer", "http://127.0.0.1:18099/web.html"), "");
  host.sh(
    `nsenter --net=${engine.execRoot}/netns/peer sh -c 'sysctl -qw net.ipv4.conf.all.route_localnet=1; ip route add 127.0.0.2/32 via 172.17.0.1; ip addr del 127.0.0.1/8 dev lo'`,
  );
  assert.equal(getInside("peer", "http://127.0.0.2:18099/web.html"), "");
});

test("ports go on and are still known after netd was killed", async () => {
  await host.restart(engine);
  assert.equal(get("http://127.0.0.1:18080/web.html"), "web");
  assert.equal(get("http://[::1]:18080/web.html"), "web");
  await assert.rejects(connect("late", { ports: [tcp(18080, 80)] }), /already allocated/);
  const again = await connect("web", { ports: [tcp(18080, 80)] });
  assert.equal(again.ports.length, 2);
});

test("a killed keel is replaced and the next container starts", async () => {
  host.sh("kill -9 $(pgrep -x keel-serve)");
  await connect("after");
  await release("after");
});

test("a killed keel ports is replaced and conflicts are still seen", async () => {
  host.sh("kill -9 $(pgrep -x keel-ports)");
  await until("the port on ::1", () => get("http://[::1]:18080/web.html") === "web", 2000);
  await assert.rejects(connect("late", { ports: [tcp(18080, 80)] }), /already allocated/);
});

test("networks are isolated from each other, internal ones from the world", async () => {
  await engine.client.call("createNetwork", { name: "one" });
  await engine.client.call("createNetwork", { name: "inner", internal: true });
  const one = await connect("on-one", { endpoints: [{ network: "one" }] });
  const inner = await connect("on-inner", { endpoints: [{ network: "inner" }] });
  await serve("on-one");
  assert.equal(getInside("web", `http://${one.endpoints[0]!.ip}/web.html`), "");
  assert.equal(inner.endpoints[0]!.gateway, "");
  assert.notEqual(host.inside(engine, "on-inner", "ip", "route", "get", "198.51.100.1").status, 0);
  await assert.rejects(engine.client.call("removeNetwork", { network: "one" }), /has active endpoints/);
  for (const id of ["on-one", "on-inner"]) await release(id);
  for (const network of ["one", "inner"]) await engine.client.call("removeNetwork", { network });
  assert.equal(host.sh("iptables-save").match(/br-[0-9a-f]{12}/), null);
  assert.equal(host.sh("ip -o link").match(/br-[0-9a-f]{12}/), null);
});

test("a network is connected and disconnected live", async () => {
  await engine.client.call("createNetwork", { name: "live", ipam: [{ subnet: "10.77.0.0/24" }] });
  const before = await connect("mover");
  const during = await engine.client.call("connectNetwork", {
    containerId: "mover",
    endpoint: { network: "live", ip: "10.77.0.9", gwPriority: 5 },
  });
  assert.equal(during.endpoints.length, 2);
  assert.match(host.inside(engine, "mover", "ip", "-4", "addr", "show", "eth1").stdout, /10\.77\.0\.9\/24/);
  assert.match(host.inside(engine, "mover", "ip", "route").stdout, /default via 10\.77\.0\.1 dev eth1/);
  await engine.client.call("disconnectNetwork", { containerId: "mover", network: "live" });
  assert.match(host.inside(engine, "mover", "ip", "route").stdout, /default via 172\.17\.0\.1 dev eth0/);
  assert.notEqual(host.inside(engine, "mover", "ip", "link", "show", "eth1").status, 0);
  assert.deepEqual(
    (await engine.client.call("inspect", { containerId: "mover" })).endpoints[0]!.ip,
    before.endpoints[0]!.ip,
  );
  await release("mover");
  await engine.client.call("removeNetwork", { network: "live" });
});

test("static addresses are held for stopped containers", async () => {
  await engine.client.call("createNetwork", { name: "fixed", ipam: [{ subnet: "10.78.0.0/29" }] });
  await engine.client.call("reserve", { containerId: "owner", endpoints: [{ network: "fixed", ip: "10.78.0.2" }] });
  const other = await connect("other", { endpoints: [{ network: "fixed" }] });
  assert.equal(other.endpoints[0]!.ip, "10.78.0.3");
  await assert.rejects(
    connect("thief", { endpoints: [{ network: "fixed", ip: "10.78.0.2" }] }),
    /Address already in use/,
  );
  const owner = await connect("owner", { endpoints: [{ network: "fixed", ip: "10.78.0.2" }] });
  assert.equal(owner.endpoints[0]!.ip, "10.78.0.2");
  for (const id of ["owner", "other"]) await release(id);
  await engine.client.call("forget", { containerId: "owner" });
  await engine.client.call("removeNetwork", { network: "fixed" });
});

test("host and none need no interface", async () => {
  const onHost = await connect("h", { sandboxKind: "host", endpoints: [{ network: "host" }] });
  assert.deepEqual([onHost.netnsPath, onHost.endpoints[0]!.networkName], ["", "host"]);
  await connect("n", { sandboxKind: "none", endpoints: [{ network: "none" }] });
  assert.equal(host.inside(engine, "n", "ip", "-o", "link").stdout.trim().split("\n").length, 1);
  await release("h");
  await release("n");
});

test("when everything has stopped, nothing of ours is left on the host", async () => {
  for (const id of ["web", "peer"]) await release(id);
  await host.stop(engine);
  assert.deepEqual(rules(), []);
  assert.equal(host.sh("iptables-save | grep -c '^:DOCKER' || true").trim(), "0");
  assert.doesNotMatch(host.sh("ip -o link"), /hull0|veth|br-/);
  assert.equal(host.sh(`grep -c ${engine.execRoot} /proc/self/mounts || true`).trim(), "0");
  assert.equal(host.run("pgrep", "-x", "keel-ports").status, 1);
});
