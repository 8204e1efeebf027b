/** What somebody else takes away of the engine's rules, interfaces and sockets is back within a second. */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { TestEngine, until } from "../engine.ts";
import { firewallBackend, NetworkLab, webStatus } from "../network-lab.ts";

const lab = new NetworkLab();
let engine: TestEngine;
let intact: string;

const server = ["busybox", "httpd", "-f", "-p", "80", "-h", "/etc"];
const ports = [8080, 8090];
const SECOND_MS = 1000;
const QUIET_MS = 1500;

/** Order is not the point here: two rules of one chain that decide about different packets may swap. */
const rules = (): string =>
  (firewallBackend === "iptables" ? lab.rules().split("\n") : lab.ruleset().split(/[\s,{}]+/)).toSorted().join("\n");
const jumps = (): string[] | null => lab.rules().match(/^-A FORWARD .*$/gm);

before(async () => {
  lab.sh("echo 0 > /proc/sys/net/ipv4/ip_forward");
  engine = await TestEngine.start({ wrap: lab.inside, args: ["--firewall-backend", firewallBackend] });
  await engine.ok("network", "create", "-o", "com.docker.network.bridge.name=meadow0", "--ipv6", "meadow");
  await engine.ok("run", "-d", "--name", "web", "-p", `${ports[0]}:80`, ...server);
  await engine.ok("run", "-d", "--name", "field", "--network", "meadow", "-p", `${ports[1]}:80`, ...server);
  intact = rules();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
  lab[Symbol.dispose]();
});

async function allAnswer(): Promise<boolean> {
  for (const port of ports) {
    if ((await webStatus(lab.inside, "127.0.0.1", port)) !== "404") return false;
    if ((await webStatus(lab.outside, lab.host4, port)) !== "404") return false;
  }
  return true;
}

const ofIptables = [
  "iptables -F",
  "iptables -t nat -F",
  "iptables -t raw -F",
  "iptables -F DOCKER-FORWARD",
  // Every rule and chain of ours and Docker's, in one step: in two the repair comes between them.
  "printf '*nat\\nCOMMIT\\n*filter\\nCOMMIT\\n' | iptables-restore",
  "ip6tables -F; ip6tables -t nat -F",
  "iptables -D FORWARD -j DOCKER-USER",
  "iptables -t nat -D PREROUTING 1",
  "iptables -D DOCKER 1",
];
const table = "$(nft list tables | grep -o 'ip hull-.*')";
const ofNftables = [
  `nft delete table ${table}`,
  `nft flush table ${table}`,
  `nft flush chain ${table} forward`,
  `nft flush map ${table} any`,
  `nft add rule ${table} forward accept`,
  `nft delete table ip6 $(nft list tables | grep -o 'ip6 hull-.*' | cut -d' ' -f2)`,
];
const damages = [
  ...(firewallBackend === "iptables" ? ofIptables : ofNftables),
  "nft flush ruleset",
  "ip link set hull0 down",
  "ip addr flush dev hull0",
  "ip link del meadow0",
  "ip link del hull0; ip link del meadow0; nft flush ruleset",
];
for (const damage of damages) {
  test(`all is back within a second after: ${damage}`, { timeout: 20_000 }, async () => {
    assert.ok(await allAnswer());
    lab.sh(damage);
    await until("the rules are back", () => rules() === intact, SECOND_MS);
    await until("every port answers", allAnswer, SECOND_MS);
    if (firewallBackend !== "iptables") return;
    const right = ["-A FORWARD -j DOCKER-USER", "-A FORWARD -j DOCKER-FORWARD"];
    assert.deepEqual(jumps(), [...right, ...right], "of both families");
  });
}

if (firewallBackend === "iptables")
  test("rules of others are as they were, also when ours are repaired", { timeout: 20_000 }, async () => {
    const theirs = [
      "-A DOCKER-USER -s 198.51.100.0/24 -j DROP",
      "-A FORWARD -i other0 -j ACCEPT",
      "-A INPUT -p tcp -m tcp --dport 9 -j DROP",
    ];
    for (const rule of theirs) lab.sh(`iptables ${rule}`);
    lab.sh("iptables -F DOCKER; iptables -t nat -F DOCKER");
    await until("our rules are back", () => intact.split("\n").every((line) => rules().includes(line)), SECOND_MS);
    for (const rule of theirs) assert.ok(lab.rules().includes(rule), rule);
    for (const rule of theirs) lab.sh(`iptables ${rule.replace("-A", "-D")}`);
  });

test("nothing is repaired when nobody broke anything", { timeout: 20_000 }, async () => {
  const before = rules();
  await engine.ok("run", "--rm", "busybox", "true");
  await delay(QUIET_MS);
  assert.equal(rules(), before);
});

test("a deleted socket file is back within a second, and clients go on", { timeout: 20_000 }, async () => {
  rmSync(engine.socket);
  await until("the engine answers", async () => (await engine.docker("version")).code === 0, SECOND_MS);
  assert.equal(await engine.inspect("web", "{{.State.Running}}"), "true");
});
