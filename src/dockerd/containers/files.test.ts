import assert from "node:assert/strict";
import { test } from "node:test";
import { hostsText } from "./files.ts";
import type { ContainerRecord } from "./record.ts";
import type { Sandbox } from "./sandboxes.ts";

const sandbox = { endpoints: { n: { IPAddress: "10.0.0.2", GlobalIPv6Address: "" } }, hostGateway: ["10.0.0.1"] };

const ownLine = (Hostname: string, Domainname: string): string | undefined => {
  const record = { config: { Hostname, Domainname }, hostConfig: { ExtraHosts: null } };
  const text = hostsText(record as unknown as ContainerRecord, sandbox as unknown as Sandbox);
  return text.trim().split("\n").at(-1);
};

for (const [hostname, domainname, names] of [
  ["foo", "", "foo"],
  ["foo", "dom.org", "foo.dom.org foo"],
  ["foo.bar", "", "foo.bar foo"],
  ["foo.bar", "dom", "foo.bar.dom foo"],
] as const)
  test(`host name ${hostname} in domain "${domainname}" is known as ${names}`, () =>
    assert.equal(ownLine(hostname, domainname), `10.0.0.2\t${names}`));

test("host-gateway stands for the host's address", () => {
  const record = {
    config: { Hostname: "h", Domainname: "" },
    hostConfig: { ExtraHosts: ["gw:host-gateway", "six:::1"] },
  };
  const text = hostsText(record as unknown as ContainerRecord, sandbox as unknown as Sandbox);
  assert.ok(text.includes("10.0.0.1\tgw\n::1\tsix\n"));
});
