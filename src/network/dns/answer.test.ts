import assert from "node:assert/strict";
import { test } from "node:test";
import * as packet from "dns-packet";
import { request } from "../netd-harness.ts";
import type { EndpointRecord, SandboxRecord } from "../record.ts";
import { addressOfReverse, decide, rcodeOf } from "./answer.ts";
import { Zone } from "./zone.ts";

const endpoint = (networkId: string, ip: string, dnsNames: readonly string[], more: object = {}): EndpointRecord =>
  ({ networkId, ip, ip6: "", dnsNames, request: { network: networkId }, ...more }) as unknown as EndpointRecord;

const sandbox = (containerId: string, ...endpoints: EndpointRecord[]): SandboxRecord =>
  ({ containerId, state: "connected", request: request(containerId), endpoints }) as unknown as SandboxRecord;

const networks = [
  { id: "n1", name: "front.end", embeddedDns: true },
  { id: "n2", name: "back", embeddedDns: true },
  { id: "n0", name: "bridge", embeddedDns: false },
];
const many = Array.from({ length: 60 }, (_, i) => sandbox(`m${i}`, endpoint("n1", `10.1.1.${i + 1}`, ["many"])));
const zone = new Zone(networks, [
  sandbox("asker", endpoint("n1", "10.1.0.2", ["asker"], { request: { network: "n1", links: { db: "linked" } } })),
  sandbox("web", endpoint("n1", "10.1.0.3", ["web", "www"]), endpoint("n2", "10.2.0.3", ["web"])),
  sandbox("secret", endpoint("n2", "10.2.0.4", ["secret"])),
  sandbox("linked", endpoint("n1", "10.1.0.5", ["linked"])),
  sandbox("old", endpoint("n0", "172.17.0.2", ["old"])),
  ...many,
]);

interface Reply {
  readonly kind: string;
  readonly rcode: number;
  readonly answers: readonly string[];
  readonly truncated: boolean;
}

function ask(
  name: string,
  type: packet.RecordType = "A",
  more: { readonly isTcp?: boolean; readonly edns?: number } = {},
): Reply {
  const additionals = more.edns
    ? [
        {
          type: "OPT" as const,
          name: ".",
          udpPayloadSize: more.edns,
          flags: 0,
          options: [],
          extendedRcode: 0,
          ednsVersion: 0,
          flag_do: false,
        },
      ]
    : [];
  const bytes = packet.encode({
    type: "query",
    id: 7,
    flags: packet.RECURSION_DESIRED,
    questions: [{ type, name }],
    additionals,
  } as packet.Packet);
  const decision = decide({ bytes, isTcp: more.isTcp ?? false, containerId: "asker" }, zone);
  if (decision.kind !== "answer") return { kind: decision.kind, rcode: -1, answers: [], truncated: false };
  const reply = packet.decode(decision.bytes);
  assert.equal(reply.id, 7);
  const answers = (reply.answers ?? []).map((answer) => String((answer as { data: unknown }).data)).sort();
  return { kind: "answer", rcode: rcodeOf(decision.bytes), answers, truncated: reply.flag_tc === true };
}

const cases: readonly (readonly [string, string, packet.RecordType, readonly string[] | "forward"])[] = [
  ["a name", "web", "A", ["10.1.0.3"]],
  ["an alias in capitals", "WWW", "A", ["10.1.0.3"]],
  ["a name with its network's, which has a dot", "web.front.end", "A", ["10.1.0.3"]],
  ["a name with a network the asker is not on", "web.back", "A", "forward"],
  ["a container on another network", "secret", "A", "forward"],
  ["a container on the default bridge", "old", "A", "forward"],
  ["a link of the asker", "db", "A", ["10.1.0.5"]],
  ["a known name in the family it lacks", "web", "AAAA", []],
  ["a known name with another type", "web", "MX", []],
  ["an address", "3.0.1.10.in-addr.arpa", "PTR", ["web.front.end"]],
  ["an address of nobody", "9.9.9.9.in-addr.arpa", "PTR", "forward"],
  ["the world", "example.test", "A", "forward"],
];
for (const [what, name, type, expected] of cases) {
  test(`${what} is ${expected === "forward" ? "asked upstream" : `answered with ${expected.length} records`}`, () => {
    const reply = ask(name, type);
    if (expected === "forward") assert.equal(reply.kind, "forward");
    else assert.deepEqual([reply.rcode, reply.answers], [0, expected]);
  });
}

test("an answer too big for the asker's datagram is truncated, by TCP or with a bigger EDNS size it is whole", () => {
  assert.deepEqual([ask("many").truncated, ask("many").answers.length], [true, 0]);
  assert.equal(ask("many", "A", { isTcp: true }).answers.length, 60);
  assert.equal(ask("many", "A", { edns: 4096 }).answers.length, 60);
});

test("what is no query is dropped", () => {
  for (const bytes of [Buffer.alloc(0), Buffer.alloc(5), Buffer.from("not a DNS message at all")]) {
    const decision = decide({ bytes, isTcp: false, containerId: "asker" }, zone);
    assert.notEqual(decision.kind, "forward");
  }
});

test("reverse names of both families become addresses", () => {
  assert.equal(addressOfReverse("2.0.17.172.in-addr.arpa"), "172.17.0.2");
  const nibbles = "2".padEnd(32, "0").split("").join(".");
  assert.equal(addressOfReverse(`${nibbles}.ip6.arpa`), "::2");
  assert.equal(addressOfReverse("x.in-addr.arpa"), undefined);
});
