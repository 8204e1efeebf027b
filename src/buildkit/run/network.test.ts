import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { KeelServe } from "../../keel/serve.ts";
import { type Engine, TestHost } from "../../network/netd-harness.ts";
import { cgroupPlace } from "../../runc/cgroup/place.ts";
import { readHostFacts } from "../../runc/host-facts.ts";
import { endCgroup } from "./command-cgroup.ts";

let host: TestHost;
let engine: Engine;
before(async () => {
  host = new TestHost();
  await host.ready();
  engine = await host.engine("one");
});
after(async () => {
  await using keel = await KeelServe.open();
  await endCgroup(keel, cgroupPlace(readHostFacts().cgroups, cgroupParent, ""));
  await host[Symbol.asyncDispose]();
});

const cgroupParent = `/hull-run-network-${process.pid}`;

/** Runs statements in a process on that host, which has `builder` and `netd`; what they return. */
function onHost<T>(statements: string): T {
  const directory = mkdtempSync(join(host.directory, "builder-"));
  const here = (path: string): string => JSON.stringify(join(import.meta.dirname, path));
  const program = `
    import { runVertex, TestBuilder } from ${here("harness.ts")};
    import { NetdNetworks } from ${here("network.ts")};
    import { openNetdClient } from ${here("../../network/client.ts")};
    const netd = openNetdClient(${JSON.stringify(engine.execRoot)});
    const builder = await TestBuilder.open({
      directory: ${JSON.stringify(directory)}, cgroupParent: "${cgroupParent}", networks: new NetdNetworks(netd) });
    const endpoints = async () => (await netd.call("listNetworks", {})).flatMap(({ endpoints }) => endpoints);
    const result = await (async () => { ${statements} })();
    console.log(JSON.stringify(result));
    process.exit(0);`;
  const { status, stdout, stderr } = host.run("env", `TMPDIR=${directory}`, process.execPath, "-e", program);
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout);
}

test("a command on the default network has an address of the bridge, its name servers and a way to the machine", () => {
  const { stdout, left } = onHost<{ stdout: string; left: unknown[] }>(`
    const script = "busybox ip -o -4 addr show eth0; cat /etc/resolv.conf; grep box /etc/hosts; grep gate /etc/hosts; " +
      "busybox ping -c 1 -W 2 gate >/dev/null && echo reached";
    const vertex = runVertex(script, { network: "default", hostname: "box", extraHosts: ["gate:host-gateway"] });
    const { stdout } = await builder.run(vertex);
    await builder[Symbol.asyncDispose]();
    return { stdout, left: await endpoints() };`);
  const address = /inet (\d+\.\d+\.\d+\.\d+)\//.exec(stdout)?.[1];
  assert.ok(address, stdout);
  assert.ok(stdout.includes(`${address}\tbox\n`), stdout);
  assert.match(stdout, /search corp\.test\n/);
  assert.match(stdout, /\d\tgate\nreached\n$/);
  assert.deepEqual(left, []);
});

test("hulld's clean-up leaves the network of a running command alone; that of a builder that is gone it takes", async () => {
  const kept = onHost<number>(`
    const running = builder.run(runVertex("while [ ! -e /sys/class/net/eth0 ]; do :; done; sleep 1", { network: "default" }));
    while ((await endpoints()).length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await netd.call("retain", { running: [], existing: [] });
    const { length } = await endpoints();
    return length;`);
  assert.equal(kept, 1);
  const endpoints = async (): Promise<number> =>
    (await engine.client.call("listNetworks", {})).flatMap((network) => network.endpoints).length;
  assert.equal(await endpoints(), 1);
  await engine.client.call("retain", { running: [], existing: [] });
  assert.equal(await endpoints(), 0);
});

test("the next builder gives back the network of the one that was killed", () => {
  const counts = onHost<number[]>(`
    const first = new NetdNetworks(netd);
    await first.connect("abc", { kind: "default", hostname: "h", needsGateway: false }, new AbortController().signal);
    const before = (await endpoints()).length;
    await first.forget("abc");
    return [before, (await endpoints()).length];`);
  assert.deepEqual(counts, [1, 0]);
});

test("host-gateway is known to commands without the default network too", () => {
  const stdout = onHost<string>(`
    const vertex = runVertex("grep gate /etc/hosts", { network: "none", extraHosts: ["gate:host-gateway"] });
    return (await builder.run(vertex)).stdout;`);
  assert.match(stdout, /^\d+\.\d+\.\d+\.\d+\tgate\n$/);
});
