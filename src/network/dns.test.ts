import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Connected } from "./api.ts";
import { type Engine, request, TestHost, until } from "./netd-harness.ts";

const host = new TestHost();
let engine: Engine;
const heldSockets = fileURLToPath(new URL("held-sockets.ts", import.meta.url));

before(async () => {
  await host.ready();
  engine = await host.engine("d");
  await engine.client.call("createNetwork", { name: "net" });
  await start("web", { aliases: ["www"] });
  await start("asker", {});
});
after(async () => {
  await host[Symbol.asyncDispose]();
});

/** Connects a container to the user-defined network and makes the pause that holds its DNS sockets. */
async function start(
  id: string,
  endpoint: { readonly aliases?: readonly string[] },
  network = "net",
): Promise<Connected> {
  const connected = await engine.client.call("connect", request(id, { endpoints: [{ network, ...endpoint }] }));
  await pause(id, connected);
  return connected;
}

async function pause(id: string, connected: Connected): Promise<void> {
  const directory = join(host.directory, "p", id);
  const wanted = { directory, id, netnsPath: connected.netnsPath, sockets: connected.dnsSockets };
  const made = host.run(process.execPath, heldSockets, JSON.stringify(wanted));
  assert.equal(made.status, 0, made.stderr);
  await engine.client.call("borrowDns", { containerId: id, pauseSocket: join(directory, "p") });
}

async function storedDnsPort(id: string): Promise<number> {
  const file = JSON.parse(readFileSync(join(engine.execRoot, "network", "containers", `${id}.json`), "utf8"));
  return file.sandbox.dnsPort;
}

/** What a container's resolver gets: one line per answer. */
function ask(id: string, name: string, type = "a", ...more: string[]): string {
  const script = `
    const { Resolver } = require("node:dns").promises;
    const resolver = new Resolver({ timeout: 3000, tries: 1 });
    resolver.setServers(["127.0.0.11"]);
    const ask = { a: "resolve4", aaaa: "resolve6", ptr: "reverse" }[${JSON.stringify(type)}];
    resolver[ask](${JSON.stringify(name)}).then((found) => console.log(found.join(" ")), (error) => console.log(error.code));`;
  return host.inside(engine, id, process.execPath, "-e", script, ...more).stdout.trim();
}

test("names, aliases, short ids and name.network are answered, each for the asker's networks only", async () => {
  const { endpoints } = await engine.client.call("inspect", { containerId: "web" });
  const { ip } = endpoints[0]!;
  for (const name of ["web", "www", "WEB", "web.net", "www.net"]) assert.equal(ask("asker", name), ip, name);
  await engine.client.call("createNetwork", { name: "other" });
  await start("stranger", {}, "other");
  assert.match(ask("stranger", "web"), /ENOTFOUND|ESERVFAIL|ECONNREFUSED|ETIMEOUT/);
});

test("addresses have names", async () => {
  const { endpoints } = await engine.client.call("inspect", { containerId: "web" });
  assert.equal(ask("asker", endpoints[0]!.ip, "ptr"), "web.net");
});

test("resolv.conf names 127.0.0.11 on user-defined networks, and follows the host on the default bridge", async () => {
  const { resolvConf } = await engine.client.call("inspect", { containerId: "web" });
  assert.match(resolvConf, /^nameserver 127\.0\.0\.11$/m);
  assert.match(resolvConf, /^options ndots:0$/m);
  const plain = await engine.client.call("connect", request("plain"));
  assert.doesNotMatch(plain.resolvConf, /127\.0\.0/);
  assert.match(plain.resolvConf, /^search corp\.test$/m);
});

test("other names are asked at the host's name servers, from the host", async () => {
  const script = `
    const socket = require("node:dgram").createSocket("udp4");
    socket.on("message", (query, from) => {
      const end = query.indexOf(0, 12) + 5;
      const head = Buffer.from(query.subarray(0, 12));
      head.writeUInt16BE(0x8180, 2); head.writeUInt16BE(1, 6); head.writeUInt16BE(0, 10);
      const answer = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 7]);
      socket.send(Buffer.concat([head, query.subarray(12, end), answer]), from.port, from.address);
    });
    socket.bind(53, "127.0.0.1");`;
  host.background(process.execPath, "-e", script);
  await until("the host's name server", () => host.run("sh", "-c", "ss -lun | grep -q 127.0.0.1:53").status === 0);
  assert.equal(ask("asker", "example.test"), "203.0.113.7");
});

test("a query that comes while netd is dead is answered when it is back", async () => {
  await host.kill(engine);
  const script = `
    const { Resolver } = require("node:dns").promises;
    const resolver = new Resolver({ timeout: 8000, tries: 1 });
    resolver.setServers(["127.0.0.11"]);
    resolver.resolve4("web").then((found) => console.log(found.join(" ")), (error) => console.log(error.code));`;
  const asking = host.insideBackground(engine, "asker", process.execPath, "-e", script);
  let answer = "";
  asking.stdout!.on("data", (chunk: Buffer) => {
    answer += chunk.toString();
  });
  // The question stands in the socket that pause holds.
  const port = (await storedDnsPort("asker")).toString();
  await until(
    "the question",
    () => host.inside(engine, "asker", "sh", "-c", `ss -lun | awk '$2 > 0' | grep -q :${port}`).status === 0,
  );
  const revivedAt = performance.now();
  await host.revive(engine);
  await until("the answer", () => answer !== "", 8000);
  console.log(`answered ${(performance.now() - revivedAt).toFixed(0)} ms after netd's start`);
  assert.match(answer, /^172\.\d+\.\d+\.\d+/);
});

test("a container connected to a user-defined network later resolves names there", async () => {
  const plain = await engine.client.call("inspect", { containerId: "plain" });
  await pause("plain", plain);
  const after = await engine.client.call("connectNetwork", { containerId: "plain", endpoint: { network: "net" } });
  assert.match(after.resolvConf, /127\.0\.0\.11/);
  assert.match(ask("plain", "web"), /^172\./);
  assert.match(ask("asker", "plain"), /^172\./);
});
