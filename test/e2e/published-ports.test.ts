/** Published ports from everywhere: the host's own addresses, containers, a machine outside. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { after, before, test } from "node:test";
import { TestEngine, until } from "../engine.ts";
import { datagram, firewallBackend, NetworkLab, webStatus } from "../network-lab.ts";

const lab = new NetworkLab();
const servers: ChildProcess[] = [];
let engine: TestEngine;

before(async () => {
  lab.sh("echo 0 > /proc/sys/net/ipv4/ip_forward; echo 0 > /proc/sys/net/ipv6/conf/all/forwarding");
  engine = await TestEngine.start({ wrap: lab.inside, args: ["--firewall-backend", firewallBackend] });
  await engine.ok("network", "create", "meadow");
  await engine.ok("network", "create", "--ipv6", "--subnet", "2001:db8:77::/64", "six");
  const ports = ["-p", "8080:80", "-p", "5300:53/udp", "-p", "127.0.0.1:8081:80", "-p", `${lab.host4}:8082:80`];
  await engine.ok("run", "-d", "--name", "web", ...ports, ...httpd);
  await engine.ok("run", "-d", "--name", "field", "--network", "meadow", "-p", "8090:80", ...httpd);
  await engine.ok("run", "-d", "--name", "both", "--network", "six", "-p", "8100:80", "-p", "5301:53/udp", ...httpd);
  for (const name of ["web", "both"]) await echo(name);
});
after(async () => {
  for (const server of servers) server.kill("SIGKILL");
  await engine[Symbol.asyncDispose]();
  lab[Symbol.dispose]();
});

const httpd = ["busybox", "httpd", "-f", "-p", "80", "-h", "/etc"];
const namespaceOf = async (name: string): Promise<string[]> => [
  "nsenter",
  "-t",
  await engine.inspect(name, "{{.State.Pid}}"),
  "-n",
];

/** A UDP server on port 53 of a container that sends back what it gets. */
async function echo(name: string): Promise<void> {
  const inside = await namespaceOf(name);
  const listening = "UDP6-RECVFROM:53,fork,ipv6only=0";
  servers.push(spawn(inside[0]!, [...inside.slice(1), "socat", listening, "EXEC:cat"], { stdio: "ignore" }));
  await until("the UDP server", async () => (await datagram(inside, "127.0.0.1", 53)) === "hello");
}

const open = "404";
const closed = "000";
const hosts = ["127.0.0.1", "127.0.0.2", "::1", lab.host4, lab.host6];

test("a TCP port answers on every address of the host, from the host and from outside", {
  timeout: 60_000,
}, async () => {
  for (const address of hosts) assert.equal(await webStatus(lab.inside, address, 8080), open, `host to ${address}`);
  for (const address of [lab.host4, lab.host6]) {
    assert.equal(await webStatus(lab.outside, address, 8080), open, `outside to ${address}`);
    assert.equal(await webStatus(lab.outside, address, 8090), open, `outside to ${address}, another network`);
    assert.equal(await webStatus(lab.outside, address, 8100), open, `outside to ${address}, a network with IPv6`);
  }
});

test("a UDP port answers on every address of the host, from the host and from outside, from the address that was asked", {
  timeout: 60_000,
}, async () => {
  for (const port of [5300, 5301]) {
    for (const address of hosts) assert.equal(await datagram(lab.inside, address, port), "hello", `${address} ${port}`);
    for (const address of [lab.host4, lab.host6]) {
      assert.equal(await datagram(lab.outside, address, port), "hello", `outside ${address} ${port}`);
    }
  }
});

test("a port of one address of the host answers there only", { timeout: 60_000 }, async () => {
  const expected = [
    [lab.inside, "127.0.0.1", 8081, open],
    [lab.inside, lab.host4, 8081, closed],
    [lab.inside, "::1", 8081, closed],
    [lab.outside, lab.host4, 8081, closed],
    [lab.inside, lab.host4, 8082, open],
    [lab.inside, "127.0.0.1", 8082, closed],
    [lab.outside, lab.host4, 8082, open],
    [lab.outside, lab.host6, 8082, closed],
  ] as const;
  for (const [from, address, port, status] of expected) {
    assert.equal(
      await webStatus(from, address, port),
      status,
      `${from === lab.inside ? "host" : "outside"} ${address} ${port}`,
    );
  }
});

test("nobody outside reaches the host's loopback ports by sending to 127.0.0.1", { timeout: 60_000 }, async () => {
  const outside = (script: string) => spawnQuietly([...lab.outside, "sh", "-ec", script]);
  await outside(`
    sysctl -qw net.ipv4.conf.eth0.route_localnet=1 net.ipv4.conf.all.route_localnet=1
    ip route add table 77 127.0.0.1/32 via ${lab.host4} dev eth0 src ${lab.outside4}
    ip rule add pref 1 lookup local
    ip rule del pref 0
    ip rule add pref 0 to 127.0.0.1 lookup 77`);
  lab.sh("iptables -t raw -I PREROUTING -i eth0 -d 127.0.0.1");
  assert.equal(await webStatus(lab.outside, "127.0.0.1", 8081), closed);
  const arrived = /^\s*(\d+) .* eth0 .* 127\.0\.0\.1/m.exec(lab.sh("iptables -t raw -L PREROUTING -nvx"))?.[1];
  assert.ok(Number(arrived) > 0, "the packets did arrive");
  lab.sh("iptables -t raw -D PREROUTING -i eth0 -d 127.0.0.1");
  await outside("ip rule del pref 0; ip rule add pref 0 lookup local; ip rule del pref 1");
});

test("containers reach published ports by the host's address and by the gateway, their own too", {
  timeout: 60_000,
}, async () => {
  const gateway = await engine.inspect("bridge", "{{(index .IPAM.Config 0).Gateway}}");
  for (const name of ["web", "field", "both"]) {
    const inside = await namespaceOf(name);
    for (const port of [8080, 8090, 8100]) {
      assert.equal(await webStatus(inside, lab.host4, port), open, `${name} to ${lab.host4}:${port}`);
      assert.equal(await webStatus(inside, gateway, port), open, `${name} to ${gateway}:${port}`);
    }
    assert.equal(await datagram(inside, lab.host4, 5300), "hello", name);
    assert.equal(await webStatus(inside, "127.0.0.1", 8080), closed, "the host's loopback is not theirs");
  }
});

test("containers of one network reach each other, those of another only by published ports", {
  timeout: 60_000,
}, async () => {
  const address = async (name: string): Promise<string> =>
    engine.inspect(name, "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}");
  const names = ["web", "field", "both"];
  await engine.ok("run", "-d", "--name", "neighbour", "busybox", "sleep", "1000");
  assert.equal(await webStatus(await namespaceOf("neighbour"), await address("web"), 80), open);
  const pairs = names.flatMap((from) => names.filter((to) => to !== from).map((to) => [from, to] as const));
  const seen = pairs.map(async ([from, to]) => webStatus(await namespaceOf(from), await address(to), 80));
  assert.deepEqual(
    await Promise.all(seen),
    pairs.map(() => closed),
  );
  await engine.ok("rm", "-f", "neighbour");
});

test("containers reach the world outside, which sees the host's address", { timeout: 60_000 }, async () => {
  const [program, ...args] = lab.outside;
  const listener = ["socat", "TCP4-LISTEN:7000,fork,reuseaddr", "SYSTEM:echo $SOCAT_PEERADDR"];
  const server = spawn(program!, [...args, ...listener], { stdio: "ignore" });
  servers.push(server);
  for (const name of ["web", "field"]) {
    const ask = async () => (await engine.docker("exec", name, "nc", "-w", "2", lab.outside4, "7000")).stdout.trim();
    await until(`${name} sees ${lab.host4}`, async () => (await ask()) === lab.host4);
  }
});

test("a container's address is not reached from outside, published or not", { timeout: 60_000 }, async () => {
  const address = await engine.inspect("web", "{{.NetworkSettings.IPAddress}}");
  const [program, ...args] = lab.outside;
  await spawnQuietly([program!, ...args, "ip", "route", "add", `${address}/32`, "via", lab.host4]);
  assert.equal(await webStatus(lab.outside, address, 80), closed);
});

test("-P and a port without a number get ports of the ephemeral range, the same for IPv4 and IPv6", {
  timeout: 60_000,
}, async () => {
  await engine.ok("run", "-d", "--name", "many", "-P", "--expose", "90", "--expose", "91/udp", "-p", "80", ...httpd);
  const [low, high] = lab.sh("cat /proc/sys/net/ipv4/ip_local_port_range").split("\t").map(Number) as [number, number];
  for (const port of ["80/tcp", "90/tcp", "91/udp"]) {
    const lines = (await engine.ok("port", "many", port)).split("\n");
    assert.deepEqual(
      lines.map((line) => line.replace(/\d+$/, "")),
      ["0.0.0.0:", "[::]:"],
    );
    const numbers = lines.map((line) => Number(line.split(":").at(-1)));
    assert.equal(numbers[0], numbers[1]);
    assert.ok(numbers[0]! >= low && numbers[0]! <= high, `${numbers[0]}`);
  }
  const [port] = (await engine.ok("port", "many", "80/tcp")).match(/\d+$/m) ?? [];
  assert.equal(await webStatus(lab.outside, lab.host4, Number(port)), open);
  await engine.ok("rm", "-f", "many");
});

test("a range of host ports gives each container the next free one, and says so when none is left", {
  timeout: 60_000,
}, async () => {
  const publish = ["-p", "8200-8201:80"];
  const names = ["one", "two"];
  for (const name of names) await engine.ok("run", "-d", "--name", name, ...publish, ...httpd);
  const ports = await Promise.all(names.map((name) => engine.ok("port", name, "80/tcp")));
  assert.deepEqual(
    ports.map((text) => text.split("\n")[0]),
    ["0.0.0.0:8200", "0.0.0.0:8201"],
  );
  const third = await engine.docker("run", "-d", "--name", "three", ...publish, ...httpd);
  assert.equal(third.code, 125);
  assert.match(third.stderr, /port is already allocated|address already in use/);
  await engine.ok("rm", "-f", ...names, "three");
});

if (firewallBackend === "iptables")
  test("iptables shows what people know from Docker", { timeout: 60_000 }, async () => {
    const address = await engine.inspect("web", "{{.NetworkSettings.IPAddress}}");
    const subnet = await engine.inspect("bridge", "{{(index .IPAM.Config 0).Subnet}}");
    const listed = (table: string, chain: string): string[] =>
      lab.sh(`iptables -t ${table} -L ${chain} -n`).replace(/ +/g, " ").split("\n");
    const dnat = `DNAT 6 -- 0.0.0.0/0 0.0.0.0/0 tcp dpt:8080 to:${address}:80`;
    const accept = `ACCEPT 6 -- 0.0.0.0/0 ${address} tcp dpt:80`;
    assert.ok(listed("nat", "DOCKER").includes(dnat), listed("nat", "DOCKER").join("\n"));
    assert.ok(listed("nat", "DOCKER").includes(`DNAT 17 -- 0.0.0.0/0 0.0.0.0/0 udp dpt:5300 to:${address}:53`));
    assert.ok(listed("filter", "DOCKER").includes(accept), listed("filter", "DOCKER").join("\n"));
    assert.ok(listed("nat", "POSTROUTING").includes(`MASQUERADE 0 -- ${subnet} 0.0.0.0/0 `));
  });

test("ip shows what people know from Docker", () => {
  const ends = lab.sh("ip link show master hull0").match(/^\d+: veth[0-9a-f]{7}@if\d+: .* master hull0 state UP/gm);
  assert.equal(ends?.length, 1);
});

test("the host that forwards for containers routes nothing for strangers", { timeout: 60_000 }, async () => {
  lab.sh(`
    ip link add stray0 type veth peer name stray1
    sysctl -qw net.ipv6.conf.stray0.disable_ipv6=1 net.ipv6.conf.stray1.disable_ipv6=1
    ip link set stray1 up; ip link set stray0 up
    ip route add 203.0.113.0/24 dev stray0
    ip neigh add 203.0.113.9 lladdr 02:00:00:00:00:09 dev stray0`);
  const sent = () => Number(/stray0:(?:\s+\d+){9}\s+(\d+)/.exec(lab.sh("cat /proc/net/dev"))?.[1]);
  await spawnQuietly([...lab.outside, "ip", "route", "replace", "203.0.113.0/24", "via", lab.host4]);
  lab.sh("busybox ping -c 1 -W 1 203.0.113.9 || true");
  const own = sent();
  assert.ok(own > 0, "the host's own packets leave there");
  await spawnQuietly([...lab.outside, "busybox", "ping", "-c", "2", "-W", "1", "203.0.113.9"]);
  assert.equal(sent(), own);
  lab.sh("ip link del stray0");
});

test("removed containers take their rules with them, and the engine all of its own and the host's settings back", {
  timeout: 60_000,
}, async () => {
  await engine.ok("rm", "-f", "web", "field", "both");
  await until(
    "their rules have gone",
    () => !/DNAT --to|--dport|elements = \{ (tcp|udp)/.test(lab.rules() + lab.ruleset()),
  );
  await engine.ok("network", "rm", "meadow", "six");
  await engine.endDaemon("SIGTERM");
  await until("nothing of it is left", () => !/DOCKER|HULL|hull|FORWARD DROP/.test(lab.rules() + lab.ruleset()));
  await until("its interfaces have gone", () => lab.sh("ip -o link").trim().split("\n").length === 2);
  for (const name of ["ipv4/ip_forward", "ipv6/conf/all/forwarding", "ipv6/conf/default/forwarding"]) {
    assert.equal(lab.sh(`cat /proc/sys/net/${name}`).trim(), "0", name);
  }
});

const spawnQuietly = (command: readonly string[]): Promise<void> =>
  new Promise((resolve) => {
    spawn(command[0]!, command.slice(1), { stdio: "ignore" }).once("close", () => resolve());
  });
