import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { forward, input, plain } from "./examples.ts";
import type { Family } from "./model.ts";
import { parseListing } from "./nftables-listing.ts";
import { type Rendered, renderTable, replaceScript, stepScript } from "./nftables-render.ts";

const TABLE = "hull-test";
const tableOf = (family: Family): string => `${family === 4 ? "ip" : "ip6"} ${TABLE}`;

/** Applies the scripts one after the other in a namespace of its own and returns what the kernel shows then. */
function listingAfter(family: Family, scripts: readonly string[]) {
  const lines = scripts.filter((one) => one !== "").map((one) => `nft -f - <<'END'\n${one}END\n`);
  const list = `nft -j list table ${tableOf(family)}`;
  return parseListing(execFileSync("unshare", ["--net", "sh", "-ec", lines.join("") + list], { encoding: "utf8" }));
}

const render = (family: Family, more: Partial<typeof input> & { guard?: boolean } = {}): Rendered =>
  renderTable(family, { ...input, guard: false, ...more });

test("one network with one port gives exactly this table", () => {
  const { structure, elements } = render(4, { networks: [plain], forwards: [forward()] });
  assert.deepEqual(elements, {
    open: ["172.17.0.2 . tcp . 80"],
    any: ["tcp . 8080 : 172.17.0.2 . 80"],
    one: [],
  });
  assert.deepEqual(structure.split("\n"), [
    "set open { type ipv4_addr . inet_proto . inet_service; }",
    "map any { type inet_proto . inet_service : ipv4_addr . inet_service; }",
    "map one { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }",
    'map to { type ifname : verdict; elements = { "br-plain" : jump to-br-plain }; }',
    "chain to-br-plain {",
    'iifname "br-plain" accept',
    "ip daddr . meta l4proto . th dport @open accept",
    "drop",
    "}",
    "chain forward {",
    "type filter hook forward priority filter; policy accept;",
    'oifname "br-plain" ct state established,related accept',
    "oifname vmap @to",
    'iifname "br-plain" accept',
    "}",
    "chain prerouting {",
    "type nat hook prerouting priority dstnat; policy accept;",
    "ip daddr 127.0.0.0/8 return",
    "fib daddr type local dnat ip to ip daddr . meta l4proto . th dport map @one",
    "fib daddr type local dnat ip to meta l4proto . th dport map @any",
    "}",
    "chain output {",
    "type nat hook output priority -100; policy accept;",
    "fib daddr type local dnat ip to ip daddr . meta l4proto . th dport map @one",
    "fib daddr type local dnat ip to meta l4proto . th dport map @any",
    "}",
    "chain postrouting {",
    "type nat hook postrouting priority srcnat; policy accept;",
    'ip saddr 172.17.0.0/16 oifname != "br-plain" masquerade',
    'oifname "br-plain" fib saddr type local masquerade',
    'ip saddr 172.17.0.0/16 oifname "br-plain" ct status dnat masquerade',
    "}",
    "chain raw {",
    "type filter hook prerouting priority raw; policy accept;",
    'ip daddr 172.17.0.0/16 iifname != "br-plain" fib daddr type != local drop',
    'iifname "br-plain" ip daddr 127.0.0.0/8 drop',
    'iifname "br-plain" ip saddr 127.0.0.0/8 drop',
    "}",
  ]);
});

test("no network of a family is no table, also when there was one", () => {
  const none = render(6, { networks: [plain] });
  assert.equal(none.structure, "");
  assert.equal(replaceScript(6, TABLE, none), "add table ip6 hull-test\ndelete table ip6 hull-test\n");
});

for (const family of [4, 6] as const) {
  test(`the kernel takes the IPv${family} table of every kind of network, and shows its ports as they were written`, () => {
    const rendered = render(family, { guard: true });
    const replace = replaceScript(family, TABLE, rendered);
    const shown = listingAfter(family, [replace, replace]);
    assert.deepEqual(shown.elements, rendered.elements);
    assert.equal(shown.rules, rendered.rules);
    const fewer = render(family, { guard: true, forwards: input.forwards.slice(1, 2) });
    const step = stepScript(family, TABLE, { before: rendered.elements, after: fewer.elements });
    const after = listingAfter(family, [replace, step]);
    assert.deepEqual(after.elements, fewer.elements);
    assert.equal(after.structure, listingAfter(family, [replace]).structure, "ports change no rule");
    const back = stepScript(family, TABLE, { before: fewer.elements, after: rendered.elements });
    assert.deepEqual(listingAfter(family, [replace, step, back]).elements, rendered.elements);
    assert.equal(stepScript(family, TABLE, { before: rendered.elements, after: rendered.elements }), "");
  });
}

test("two host ports of one container port open it once", () => {
  const { elements } = render(4, { forwards: [forward(), forward({ hostPort: 8081 })] });
  assert.deepEqual(elements.open, ["172.17.0.2 . tcp . 80"]);
  assert.equal(elements.any.length, 2);
});
