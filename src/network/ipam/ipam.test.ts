import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type AddressSpace, COOL_DOWN_MS, chooseAddress, claimAddress } from "./addresses.ts";
import { choosePool, defaultPools, parsePool } from "./pools.ts";
import {
  addressBytes,
  addressOfBytes,
  formatAddress,
  formatPrefix,
  overlaps,
  type Prefix,
  parseAddress,
  parseInterfacePrefix,
  parsePrefix,
} from "./prefix.ts";

test("addresses are read and written in their shortest form", () => {
  for (const text of ["1.2.3.4", "255.255.255.255", "::", "::1", "fd00::2:0:0:1"]) {
    assert.equal(formatAddress(parseAddress(text)), text);
  }
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
      const address = addressOfBytes(bytes);
      assert.deepEqual([...addressBytes(parseAddress(formatAddress(address)))], [...bytes]);
    }),
  );
});

test("what is no address or prefix is refused", () => {
  for (const text of ["", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4x", "fe80::1%eth0", "a"]) {
    assert.throws(() => parseAddress(text), { code: "invalid-argument" }, text);
  }
  for (const text of ["1.2.3.4", "1.2.3.4/33", "1.2.3.4/", "1.2.3.4/-1", "::/129", "x/8"]) {
    assert.throws(() => parsePrefix(text), { code: "invalid-argument" }, text);
  }
  assert.equal(formatPrefix(parseInterfacePrefix("172.17.0.1/16").prefix), "172.17.0.0/16");
});

test("there are 31 default pools, then /24s out of what is left", () => {
  const taken: Prefix[] = [];
  for (let i = 0; i < 31; i++) taken.push(choosePool(defaultPools, taken));
  assert.equal(formatPrefix(taken[0]!), "172.17.0.0/16");
  assert.equal(formatPrefix(taken[30]!), "192.168.240.0/20");
  assert.throws(() => choosePool(defaultPools, taken), { code: "resource-exhausted" });
  const holes = taken.filter((prefix) => formatPrefix(prefix) !== "172.20.0.0/16");
  holes.push(parsePrefix("172.20.7.0/24"));
  assert.equal(formatPrefix(choosePool(defaultPools, holes)), "172.20.0.0/24");
});

test("a chosen pool never overlaps what is taken", () => {
  const prefix = fc
    .tuple(fc.nat(0xffffffff), fc.integer({ min: 8, max: 30 }))
    .map(([value, bits]) => parsePrefix(`${formatAddress({ family: 4, value: BigInt(value) })}/${bits}`));
  fc.assert(
    fc.property(fc.array(prefix, { maxLength: 8 }), (taken) => {
      let chosen: Prefix;
      try {
        chosen = choosePool(defaultPools, taken);
      } catch {
        return;
      }
      assert.ok(!taken.some((one) => overlaps(one, chosen)));
    }),
  );
});

test("a pool flag is read, a size outside its base is refused", () => {
  assert.equal(parsePool("base=10.0.0.0/8,size=24").size, 24);
  for (const text of ["base=10.0.0.0/8,size=7", "size=24", "base=10.0.0.0/8", "base=10.0.0.0/8,size=40"]) {
    assert.throws(() => parsePool(text), { code: "invalid-argument" }, text);
  }
});

const space = (more: Partial<AddressSpace> = {}): AddressSpace => ({
  subnet: parsePrefix("10.0.0.0/29"),
  range: parsePrefix("10.0.0.0/29"),
  taken: new Set([parseAddress("10.0.0.1").value]),
  releasedAtMs: new Map(),
  nowMs: 1_000_000,
  ...more,
});
const value = (text: string): bigint => parseAddress(text).value;

test("the lowest free address is chosen, never the network's or the broadcast's", () => {
  assert.equal(formatAddress(chooseAddress(space())), "10.0.0.2");
  const taken = new Set(["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"].map(value));
  assert.equal(formatAddress(chooseAddress(space({ taken }))), "10.0.0.6");
  taken.add(value("10.0.0.6"));
  assert.throws(() => chooseAddress(space({ taken })), { code: "resource-exhausted" });
});

test("an address given back a moment ago is used last", () => {
  const releasedAtMs = new Map([[value("10.0.0.2"), 1_000_000 - COOL_DOWN_MS + 1]]);
  assert.equal(formatAddress(chooseAddress(space({ releasedAtMs }))), "10.0.0.3");
  const taken = new Set(["10.0.0.1", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"].map(value));
  assert.equal(formatAddress(chooseAddress(space({ releasedAtMs, taken }))), "10.0.0.2");
});

test("a static address must be in the subnet and free", () => {
  assert.equal(formatAddress(claimAddress(space(), parseAddress("10.0.0.5"))), "10.0.0.5");
  assert.throws(() => claimAddress(space(), parseAddress("10.0.0.1")), { code: "conflict" });
  for (const text of ["10.0.1.2", "10.0.0.0", "10.0.0.7", "fd00::1"]) {
    assert.throws(() => claimAddress(space(), parseAddress(text)), { code: "invalid-argument" }, text);
  }
});
