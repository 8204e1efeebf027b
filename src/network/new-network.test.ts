import assert from "node:assert/strict";
import { test } from "node:test";
import type { CreateNetwork } from "./api.ts";
import { defaultBridge } from "./default-bridge.ts";
import { defaultPools, uniqueLocalPool } from "./ipam/pools.ts";
import { parsePrefix } from "./ipam/prefix.ts";
import { type NetworkSurroundings, newNetwork } from "./new-network.ts";
import { parseBridgeNetwork, type StoredNetwork } from "./record.ts";
import { parseSettings } from "./settings.ts";

const around = (more: Partial<NetworkSurroundings> = {}): NetworkSurroundings => ({
  existing: [],
  onLink: [],
  pools: defaultPools,
  pools6: [uniqueLocalPool(0x1234567890n)],
  interfaces: ["lo", "eth0"],
  defaultMtu: undefined,
  ...more,
});
const make = (request: Partial<CreateNetwork>, more: Partial<NetworkSurroundings> = {}): StoredNetwork =>
  newNetwork({ name: "n", ...request }, around(more));

test("a network without wishes gets the next free pool, its first address as gateway and a bridge named after its id", () => {
  const network = make({});
  assert.deepEqual(network.ipam, [{ subnet: "172.17.0.0/16", gateway: "172.17.0.1" }]);
  assert.equal(network.bridgeName, `br-${network.id.slice(0, 12)}`);
  assert.equal(network.userSubnet, false);
  const next = make({ name: "m" }, { existing: [network], onLink: [parsePrefix("172.18.3.0/24")] });
  assert.equal(next.ipam[0]!.subnet, "172.19.0.0/16");
});

test("what is asked for is kept: subnet, range, gateway, auxiliary addresses", () => {
  const pool = { subnet: "10.1.0.0/24", ipRange: "10.1.0.128/25", auxAddresses: { router: "10.1.0.128" } };
  const network = make({ ipam: [pool] });
  assert.deepEqual(network.ipam, [{ ...pool, gateway: "10.1.0.129" }]);
  assert.ok(network.userSubnet);
  const parsed = parseBridgeNetwork(network);
  assert.equal(parsed.subnet4?.range.bits, 25);
});

test("IPv6 without a subnet gets a unique local one, an IPv6 subnet without IPv6 is left out", () => {
  assert.match(make({ enableIPv6: true }).ipam[1]!.subnet!, /^fd.*\/64$/);
  assert.equal(make({ ipam: [{ subnet: "10.1.0.0/24" }, { subnet: "fd00::/64" }] }).ipam.length, 1);
  assert.deepEqual(
    make({ enableIPv4: false, enableIPv6: true }).ipam.map((pool) => pool.subnet!.includes(":")),
    [true],
  );
});

const refused: readonly (readonly [string, Partial<CreateNetwork>, string, RegExp])[] = [
  ["an empty name", { name: "" }, "invalid-argument", /name/],
  ["a malformed name", { name: "a/b" }, "invalid-argument", /invalid network name/],
  [
    "a predefined name",
    { name: "bridge" },
    "permission-denied",
    /operation is not permitted on predefined bridge network/,
  ],
  ["a name in use", { name: "used" }, "already-exists", /^network with name used already exists$/],
  [
    "an unknown driver",
    { driver: "foo" },
    "not-found",
    /could not find plugin foo in v1 plugin registry: plugin not found/,
  ],
  ["a driver that is not there yet", { driver: "macvlan" }, "unimplemented", /macvlan/],
  ["a second host network", { driver: "host" }, "permission-denied", /only one instance of "host" network is allowed/],
  ["host bits in a subnet", { ipam: [{ subnet: "10.1.0.1/24" }] }, "invalid-argument", /it should be 10\.1\.0\.0\/24/],
  ["no CIDR", { ipam: [{ subnet: "10.1.0.0" }] }, "invalid-argument", /invalid CIDR address: 10\.1\.0\.0/],
  [
    "a subnet in use",
    { ipam: [{ subnet: "172.17.5.0/24" }] },
    "permission-denied",
    /Pool overlaps with other one on this address space/,
  ],
  ["a gateway outside", { ipam: [{ subnet: "10.1.0.0/24", gateway: "10.2.0.1" }] }, "invalid-argument", /gateway/],
  ["a range outside", { ipam: [{ subnet: "10.1.0.0/24", ipRange: "10.2.0.0/25" }] }, "invalid-argument", /ip-range/],
  [
    "two IPv4 subnets",
    { ipam: [{ subnet: "10.1.0.0/24" }, { subnet: "10.2.0.0/24" }] },
    "invalid-argument",
    /one IPv4 subnet/,
  ],
  ["a bad MTU", { options: { "com.docker.network.driver.mtu": "9" } }, "invalid-argument", /MTU/],
  ["a bad switch", { options: { "com.docker.network.bridge.enable_icc": "maybe" } }, "invalid-argument", /maybe/],
  [
    "a bridge name too long",
    { options: { "com.docker.network.bridge.name": "x".repeat(16) } },
    "invalid-argument",
    /bridge name/,
  ],
  ["another's interface", { options: { "com.docker.network.bridge.name": "eth0" } }, "permission-denied", /eth0/],
  ["an unknown IPAM driver", { ipamDriver: "dhcp" }, "not-found", /dhcp/],
];
for (const [what, request, code, text] of refused) {
  test(`${what} is refused`, () => {
    const existing = [make({ name: "used" })];
    assert.throws(
      () => make(request, { existing }),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, code, error.message);
        assert.match(error.message, text);
        return true;
      },
    );
  });
}

const settings = (...flags: string[]) =>
  parseSettings(["--data-root", "/d", "--exec-root", "/e", "--keel", "/k", ...flags]);
const emptyView = { links: [], addresses: [], onLink: [] };
function bridge(flags: readonly string[], more: Partial<NetworkSurroundings> = {}, before?: StoredNetwork) {
  const given = settings(...flags);
  const chosen = { name: given.bridge || "hull0" };
  return defaultBridge({ settings: given, bridge: chosen, around: around(more), before, view: emptyView });
}

test("the default bridge is hull0 with the next free pool, docker0 with Docker's own addresses", () => {
  assert.deepEqual([bridge([]).bridgeName, bridge([]).ipam[0]?.gateway], ["hull0", "172.17.0.1"]);
  const taken = { onLink: [parsePrefix("172.17.0.0/16")] };
  assert.equal(bridge([], taken).ipam[0]?.gateway, "172.18.0.1");
  assert.equal(bridge(["--bridge", "docker0"]).ipam[0]?.subnet, "172.17.0.0/16");
  assert.equal(bridge(["--bip", "10.5.0.1/24", "--fixed-cidr", "10.5.0.128/25"]).ipam[0]?.ipRange, "10.5.0.128/25");
});

test("the default bridge keeps its subnet when its name has to change", () => {
  const before = { ...bridge([], { onLink: [parsePrefix("172.17.0.0/16")] }), bridgeName: "hull3" };
  assert.equal(bridge([], {}, before).ipam[0]?.gateway, "172.18.0.1");
});

test("the default bridge keeps its addresses over a restart, unless somebody else has them now", () => {
  const before = bridge([], { onLink: [parsePrefix("172.17.0.0/16")] });
  assert.equal(bridge([], {}, before).ipam[0]?.gateway, "172.18.0.1");
  assert.equal(bridge([], { onLink: [parsePrefix("172.18.0.0/16")] }, before).ipam[0]?.gateway, "172.17.0.1");
});

test("bad flags are refused by name", () => {
  const bad = [
    ["--bip", "x"],
    ["--mtu", "many"],
    ["--icc=perhaps"],
    ["--log-level", "loud"],
    ["--firewall-backend", "pf"],
    ["--nope"],
    ["--dns", "host"],
  ];
  for (const flags of bad) assert.throws(() => settings(...flags), { code: "invalid-argument" }, flags.join(" "));
  assert.throws(() => parseSettings([]), /--data-root is missing/);
});
