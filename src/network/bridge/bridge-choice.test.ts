import assert from "node:assert/strict";
import { test } from "node:test";
import { engineMark } from "../engine-mark.ts";
import type { Link } from "../netlink/link.ts";
import { type BridgeWish, chooseBridge } from "./bridge-choice.ts";

const mark = engineMark("0123456789abcdef", "/run/hull");
const other = engineMark("fedcba9876543210", "/run/other");

const link = (name: string, more: Partial<Link> = {}): Link => ({
  index: 7,
  name,
  mac: "02:00:00:00:00:01",
  mtu: 1500,
  up: true,
  master: 0,
  group: 0,
  kind: "bridge",
  alias: "",
  ...more,
});
const choose = (wish: Partial<BridgeWish>) =>
  chooseBridge({ asked: "", before: "", used: [], links: [], mark, ...wish });
const theirs = { group: other.group, alias: other.alias };

test("the default bridge is the first of hull0, hull1, ... that nobody has", () => {
  assert.deepEqual(choose({}), { name: "hull0" });
  assert.deepEqual(choose({ links: [link("hull0", theirs)] }), { name: "hull1" });
  assert.deepEqual(choose({ links: [link("hull0")], used: ["hull1"] }), { name: "hull2" });
  assert.deepEqual(choose({ links: [link("hull0", { group: mark.group })] }), { name: "hull0" });
  assert.deepEqual(choose({ links: [link("hull0", { group: mark.group, kind: "dummy" })] }), { name: "hull1" });
});

test("the choice of an earlier start is kept, unless another engine has that name now", () => {
  assert.deepEqual(choose({ before: "hull4" }), { name: "hull4" });
  assert.deepEqual(choose({ before: "hull4", links: [link("hull4", theirs)] }), { name: "hull0" });
  assert.deepEqual(choose({ before: "docker0" }), { name: "hull0" });
});

test("a bridge asked for that nobody owns is used, and what it was is remembered", () => {
  assert.deepEqual(choose({ asked: "br0" }), { name: "br0" });
  const found = link("br0", { group: 5, alias: "uplink" });
  assert.deepEqual(choose({ asked: "br0", links: [found] }), { name: "br0", found: { group: 5, alias: "uplink" } });
  assert.deepEqual(choose({ asked: "br0", links: [link("br0", { group: mark.group })] }), { name: "br0" });
});

const refusals: readonly (readonly [string, Partial<BridgeWish>, RegExp])[] = [
  ["another engine's", { links: [link("br0", theirs)] }, /belongs to another hull engine \(exec root \/run\/other\)/],
  ["no bridge", { links: [link("br0", { kind: "veth" })] }, /is no bridge/],
  ["another network's", { used: ["br0"] }, /another network of this engine/],
];
for (const [what, wish, text] of refusals) {
  test(`a bridge asked for that is ${what} is refused with what to do`, () => {
    assert.throws(
      () => choose({ asked: "br0", ...wish }),
      (error: Error & { facts?: { refused?: string } }) => {
        assert.match(error.message, text);
        assert.match(error.message, /give another name with --bridge/);
        assert.equal(error.facts?.refused, "bridge");
        return true;
      },
    );
  });
}
