import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { isOwn, parseDump } from "./dump.ts";
import { both, forward, input, network, plain } from "./examples.ts";
import { planChange, planStep, planTeardown } from "./iptables.ts";
import { firewallRules, type Rule, sharedRules } from "./model.ts";

const text = (rule: Rule): string => `${rule.table} ${rule.chain} ${rule.text}`;
const ownership = {
  bridges: new Set(input.networks.map((one) => one.bridge)),
  subnets: input.networks.flatMap((one) =>
    [one.subnet4, one.subnet6].flatMap((subnet) => (subnet ? [subnet.prefix] : [])),
  ),
};

test("one network with one port gives exactly these rules", () => {
  const golden = readFileSync(new URL("golden-bridge.txt", import.meta.url), "utf8")
    .trim()
    .split("\n");
  const rules = firewallRules(4, { networks: [plain], forwards: [forward()], masquerade: true });
  assert.deepEqual(
    rules.map((rule) => `${rule.place.padEnd(6)} ${text(rule)}`),
    golden,
  );
});

test("a network without IPv6 has no rule there, no network no rule at all", () => {
  assert.deepEqual(firewallRules(6, { networks: [plain], forwards: [], masquerade: true }), []);
  assert.deepEqual(firewallRules(4, { networks: [], forwards: [], masquerade: true }), []);
});

test("answers to containers that nobody masquerades for are not dropped before anybody knows that they are answers", () => {
  const naked = network("naked", { options: { "com.docker.network.bridge.enable_ip_masquerade": "false" } });
  const direct = (masquerade: boolean, one: typeof plain) =>
    firewallRules(4, { networks: [one], forwards: [], masquerade }).filter(({ text: rule }) =>
      /^-d 172.*-j DROP/.test(rule),
    );
  assert.equal(direct(true, plain).length, 1);
  assert.deepEqual([direct(true, naked), direct(false, plain)], [[], []]);
});

test("a port of a loopback address is in no chain that packets from outside meet", () => {
  const rules = firewallRules(4, { networks: [plain], forwards: [forward({ hostIp: "127.0.0.1" })], masquerade: true });
  const dnat = rules.filter((rule) => rule.text.includes("DNAT --to")).map(text);
  assert.deepEqual(dnat, [
    "nat HULL-LOCAL -d 127.0.0.1/32 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80",
  ]);
});

for (const [family, tool] of [
  [4, "iptables"],
  [6, "ip6tables"],
] as const) {
  test(`what the kernel then shows by ${tool}-save is what was wanted, and taking it away leaves nothing`, () => {
    const wanted = firewallRules(family, input);
    const first = planChange(parseDump(""), wanted, ownership).restore;
    const again = dumpAfter(tool, [first]);
    const change = planChange(parseDump(again), wanted, ownership);
    assert.deepEqual([change.restore, change.missing.map(text), change.stale], ["", [], 0]);
    const fewer = firewallRules(family, {
      ...input,
      networks: input.networks.filter((one) => one !== both),
      forwards: [],
    });
    const stepped = parseDump(dumpAfter(tool, [first, planStep(wanted, fewer)]));
    assert.equal(
      planChange(stepped, fewer, ownership).restore,
      family === 6 ? planChange(stepped, fewer, ownership).restore : "",
    );
    const emptied = planChange(parseDump(again), [], ownership).restore;
    const down = planTeardown(parseDump(dumpAfter(tool, [first, emptied])), sharedRules(family));
    const rest = dumpAfter(tool, [first, emptied, down]).split("\n");
    assert.deepEqual(
      rest.filter((line) => line.startsWith("-A") || line.includes("DOCKER") || line.includes("HULL")),
      [],
    );
  });
}

/** Applies the inputs one after the other in a namespace of its own and returns the dump. */
function dumpAfter(tool: string, inputs: readonly string[]): string {
  const script = inputs
    .filter((one) => one !== "")
    .map((one) => `${tool}-restore --noflush <<'END'\n${one}END\n`)
    .join("");
  return execFileSync("unshare", ["--net", "sh", "-ec", `${script}${tool}-save`], { encoding: "utf8" });
}

const foreign = `*filter
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-FORWARD - [0:0]
-A FORWARD -j DOCKER-FORWARD
-A DOCKER -d 10.9.0.2/32 ! -i theirs0 -o theirs0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER -d 172.17.0.9/32 ! -i br-plain -o br-plain -p tcp -m tcp --dport 81 -j ACCEPT
-A DOCKER-FORWARD -i theirs0 ! -o theirs0 -j ACCEPT
COMMIT
`;

test("beside another engine only what is missing is added and only own stale rules go", () => {
  const wanted = firewallRules(4, { networks: [plain], forwards: [], masquerade: true });
  const { restore, stale } = planChange(parseDump(foreign), wanted, ownership);
  assert.equal(stale, 1);
  assert.match(restore, /^-D DOCKER -d 172\.17\.0\.9\/32 /m);
  const filter = restore.slice(restore.indexOf("*filter"));
  assert.doesNotMatch(filter, /theirs0|^:DOCKER -|^:DOCKER-FORWARD|-I FORWARD -j DOCKER-FORWARD/m);
  assert.match(restore, /^:DOCKER-CT - \[0:0\]$/m);
});

test("what users say in DOCKER-USER comes first, also when only the other jump had to be put back or the two are swapped", () => {
  const wanted = firewallRules(4, { networks: [plain], forwards: [], masquerade: true });
  const first = planChange(parseDump(""), wanted, ownership).restore;
  const jumps = (dump: string) => dump.match(/^-A FORWARD .*$/gm);
  const right = ["-A FORWARD -j DOCKER-USER", "-A FORWARD -j DOCKER-FORWARD"];
  const lost = "*filter\n-D FORWARD -j DOCKER-FORWARD\nCOMMIT\n";
  for (const damage of [lost, `${lost}*filter\n-I FORWARD -j DOCKER-FORWARD\nCOMMIT\n`]) {
    const damaged = dumpAfter("iptables", [first, damage]);
    assert.notDeepEqual(jumps(damaged), right);
    const repair = planChange(parseDump(damaged), wanted, ownership).restore;
    assert.deepEqual(jumps(dumpAfter("iptables", [first, damage, repair])), right);
  }
  const foreignFirst = "*filter\n-I FORWARD -i x0 -j DROP\n-I FORWARD 3 -i y0 -j DROP\nCOMMIT\n";
  assert.equal(planChange(parseDump(dumpAfter("iptables", [first, foreignFirst])), wanted, ownership).restore, "");
});

test("chains that another engine uses stay when we go", () => {
  assert.equal(planTeardown(parseDump(foreign), sharedRules(4)), "");
  const emptyNat = "*nat\n:DOCKER - [0:0]\n-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\nCOMMIT\n";
  assert.equal(planTeardown(parseDump(foreign + emptyNat), sharedRules(4)), "", "in every table");
  assert.match(planTeardown(parseDump(emptyNat), sharedRules(4)), /-X DOCKER/);
});

test("a rule is ours by bridge or address, not by looking alike", () => {
  assert.ok(isOwn("-o br-plain -j DOCKER", ownership));
  assert.ok(isOwn("-p tcp -m tcp --dport 1 -j DNAT --to-destination 172.17.3.4:80", ownership));
  assert.ok(isOwn("-p tcp -m tcp --dport 1 -j DNAT --to-destination [fd00:1::9]:80", ownership));
  for (const rule of [
    "-o br-plainer -j DOCKER",
    "-s 10.0.0.0/8 -j ACCEPT",
    "-s 172.0.0.0/8 -j DROP",
    "-j DOCKER",
    "-d host.test -j DROP",
  ]) {
    assert.ok(!isOwn(rule, ownership), rule);
  }
});
