/** Names and addresses as containers see them: embedded DNS, resolv.conf, hosts, and namespaces that are shared or left out. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { run, TestEngine, until } from "../engine.ts";
import { NetworkLab } from "../network-lab.ts";

const lab = new NetworkLab();
const directory = mkdtempSync("/var/tmp/hull-names-");
let engine: TestEngine;
let upstream: ChildProcess;

/** The host's own resolv.conf and the one that systemd-resolved keeps. */
const hostResolv = (text: string): void => writeFileSync(join(directory, "resolv.conf"), text);
const systemdResolv = (text: string): void => writeFileSync(join(directory, "systemd.conf"), text);

before(async () => {
  hostResolv(`nameserver ${lab.outside4}\nsearch corp.test\noptions timeout:1\n`);
  systemdResolv(`nameserver ${lab.outside4}\n`);
  const own = `
    mount -t tmpfs tmpfs /run
    mkdir -p /run/systemd/resolve
    touch /run/systemd/resolve/resolv.conf
    mount --bind ${directory}/systemd.conf /run/systemd/resolve/resolv.conf
    mount --bind ${directory}/resolv.conf /etc/resolv.conf
    exec "$@"`;
  engine = await TestEngine.start({ wrap: [...lab.inside, "unshare", "--mount", "sh", "-ec", own, "sh"] });
  const [program, ...args] = lab.outside;
  const server = new URL("../dns-server.ts", import.meta.url).pathname;
  upstream = spawn(program!, [...args, process.execPath, server, lab.outside4], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(upstream.stdout!, "data");
});
after(async () => {
  upstream.kill("SIGKILL");
  await engine[Symbol.asyncDispose]();
  lab[Symbol.dispose]();
  rmSync(directory, { recursive: true });
});

/** Answers of a name server as a container gets them. */
async function ask(container: string, names: readonly string[], server = "127.0.0.11"): Promise<string[][]> {
  const program = new URL("../dns-ask.ts", import.meta.url).pathname;
  const inside = ["nsenter", "-t", await engine.inspect(container, "{{.State.Pid}}"), "-n"];
  const ran = await run([...inside, process.execPath, program, server, ...names], {});
  return JSON.parse(ran.stdout) as string[][];
}

const addressIn = (container: string, network: string): Promise<string> =>
  engine.inspect(container, `{{.NetworkSettings.Networks.${network}.IPAddress}}`);
const sleeper = (name: string, ...flags: string[]) =>
  engine.ok("run", "-d", "--name", name, ...flags, "busybox", "sleep", "1000");
const unknown = "ENOTFOUND";

test("on a user-defined network a container has a name, aliases, its short id, and its address a name", {
  timeout: 60_000,
}, async () => {
  await engine.ok("network", "create", "meadow");
  await engine.ok("network", "create", "orchard");
  const id = await sleeper("bee", "--network", "meadow", "--network-alias", "worker", "--hostname", "hive");
  await sleeper("asker", "--network", "meadow");
  const address = await addressIn("bee", "meadow");
  const names = ["bee", "BEE", "worker", id.slice(0, 12), "bee.meadow", "asker", "hive", "nobody"];
  const own = await addressIn("asker", "meadow");
  assert.deepEqual(await ask("asker", names), [
    ...Array.from({ length: 5 }, () => [address]),
    [own],
    [address],
    [unknown],
  ]);
  assert.deepEqual(await ask("asker", [address, own]), [["bee.meadow"], ["asker.meadow"]]);
});

test("names follow renames, later networks and ends, and are not known elsewhere", { timeout: 60_000 }, async () => {
  await sleeper("stranger", "--network", "orchard");
  assert.deepEqual(await ask("stranger", ["bee", "worker"]), [[unknown], [unknown]]);
  await engine.ok("network", "connect", "--alias", "guest", "orchard", "bee");
  const there = await addressIn("bee", "orchard");
  assert.deepEqual(await ask("stranger", ["bee", "guest", "worker"]), [[there], [there], [unknown]]);
  assert.deepEqual(await ask("asker", ["guest"]), [[unknown]], "an alias belongs to one network");
  await engine.ok("rename", "bee", "wasp");
  assert.deepEqual(await ask("stranger", ["bee", "wasp"]), [[unknown], [there]]);
  assert.match(await engine.inspect("wasp", "{{json .NetworkSettings.Networks.orchard.DNSNames}}"), /"wasp"/);
  await engine.ok("network", "disconnect", "orchard", "wasp");
  assert.deepEqual(await ask("stranger", ["wasp", "guest"]), [[unknown], [unknown]]);
  await engine.ok("rm", "-f", "wasp");
  assert.deepEqual(await ask("asker", ["wasp", "worker"]), [[unknown], [unknown]]);
});

test("containers with one alias take turns at the first place", { timeout: 60_000 }, async () => {
  const names = ["one", "two", "three"];
  for (const name of names) await sleeper(name, "--network", "meadow", "--network-alias", "pool");
  const expected = (await Promise.all(names.map((name) => addressIn(name, "meadow")))).toSorted();
  const first = new Set<string>();
  await until(
    "each was first once",
    async () => {
      const [answer] = (await ask("asker", ["pool"])) as [string[]];
      assert.deepEqual(answer.toSorted(), expected);
      first.add(answer[0]!);
      return first.size === names.length;
    },
    20_000,
  );
  await engine.ok("rm", "-f", ...names);
});

test("other names are asked of the host's name servers, from an internal network not", {
  timeout: 60_000,
}, async () => {
  assert.deepEqual(await ask("asker", ["world.test", "other.test"]), [["203.0.113.7"], [unknown]]);
  await engine.ok("network", "create", "--internal", "cellar");
  await sleeper("mouse", "--network", "cellar");
  const [answer] = (await ask("mouse", ["world.test"])) as [string[]];
  assert.notDeepEqual(answer, ["203.0.113.7"]);
  await engine.ok("rm", "-f", "mouse");
  await engine.ok("network", "rm", "cellar");
});

const resolvOf = async (...flags: string[]): Promise<string[]> =>
  (await engine.ok("run", "--rm", ...flags, "busybox", "cat", "/etc/resolv.conf"))
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));

test("the default bridge has no DNS of its own and follows the host's resolv.conf", { timeout: 60_000 }, async () => {
  assert.deepEqual(await resolvOf(), [`nameserver ${lab.outside4}`, "search corp.test", "options timeout:1"]);
  await sleeper("plain");
  assert.deepEqual(await ask("plain", ["world.test", "asker"], lab.outside4), [["203.0.113.7"], [unknown]]);
  assert.deepEqual(await ask("plain", ["asker"]), [["ETIMEOUT"]], "nobody listens on 127.0.0.11");
  hostResolv("nameserver 192.0.2.54\n");
  assert.deepEqual(await resolvOf(), ["nameserver 192.0.2.54"]);
  await engine.ok("restart", "-t", "0", "plain");
  assert.match(await engine.ok("exec", "plain", "cat", "/etc/resolv.conf"), /nameserver 192\.0\.2\.54/);
  await engine.ok("rm", "-f", "plain");
});

test("a host that asks systemd-resolved on 127.0.0.53 hands on the servers that one asks", {
  timeout: 60_000,
}, async () => {
  hostResolv("nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch .\n");
  systemdResolv(`nameserver ${lab.outside4}\nnameserver 192.0.2.55\nsearch corp.test\n`);
  assert.deepEqual(await resolvOf(), [`nameserver ${lab.outside4}`, "nameserver 192.0.2.55", "search corp.test"]);
  assert.ok(
    (await resolvOf("--network", "host")).includes("nameserver 127.0.0.53"),
    "it works in the host's namespace",
  );
  assert.ok((await resolvOf("--network", "meadow")).includes("nameserver 127.0.0.11"));
  hostResolv(`nameserver ${lab.outside4}\n`);
});

test("--dns, --dns-search and --dns-option come first, on user-defined networks behind the embedded server", {
  timeout: 60_000,
}, async () => {
  const flags = ["--dns", "192.0.2.60", "--dns-search", "a.test", "--dns-option", "rotate"];
  assert.deepEqual(await resolvOf(...flags), ["nameserver 192.0.2.60", "search a.test", "options rotate"]);
  const inMeadow = await resolvOf("--network", "meadow", ...flags);
  assert.deepEqual(inMeadow, ["nameserver 127.0.0.11", "search a.test", "options rotate ndots:0"]);
  hostResolv("nameserver 192.0.2.99\n");
  await sleeper("own", "--network", "meadow", "--dns", lab.outside4);
  assert.deepEqual(await ask("own", ["world.test"]), [["203.0.113.7"]]);
  await engine.ok("rm", "-f", "own");
  hostResolv(`nameserver ${lab.outside4}\n`);
});

test("host-gateway is the default bridge's address, on every network", { timeout: 60_000 }, async () => {
  const gateway = await engine.inspect("bridge", "{{(index .IPAM.Config 0).Gateway}}");
  for (const network of ["bridge", "meadow"]) {
    const hosts = await engine.ok(
      "run",
      "--rm",
      "--network",
      network,
      "--add-host",
      "up:host-gateway",
      "busybox",
      "cat",
      "/etc/hosts",
    );
    assert.match(hosts, new RegExp(`^${gateway.replaceAll(".", "\\.")}\tup$`, "m"));
  }
});

test("none is loopback alone, host is the host's namespace, container: another's with its files", {
  timeout: 60_000,
}, async () => {
  const links = (await engine.ok("run", "--rm", "--network", "none", "busybox", "ip", "-o", "link")).split("\n");
  assert.deepEqual(
    links.filter((line) => /[<,]UP[,>]/.test(line)).map((line) => line.split(": ")[1]),
    ["lo"],
  );
  const namespace = async (name: string) =>
    readlinkSync(`/proc/${await engine.inspect(name, "{{.State.Pid}}")}/ns/net`);
  await sleeper("onhost", "--network", "host");
  assert.equal(`${await namespace("onhost")}\n`, lab.sh("readlink /proc/self/ns/net"));
  await sleeper("guest", "--network", "container:asker");
  assert.equal(await namespace("guest"), await namespace("asker"));
  for (const path of ["/etc/hosts", "/etc/resolv.conf", "/etc/hostname"]) {
    assert.equal(await engine.ok("exec", "guest", "cat", path), await engine.ok("exec", "asker", "cat", path), path);
  }
  assert.equal(await engine.ok("exec", "guest", "hostname"), await engine.ok("exec", "asker", "hostname"));
  const refused = await engine.docker("run", "--rm", "--network", "container:asker", "-p", "80", "busybox", "true");
  assert.equal(refused.code, 125);
  assert.match(refused.stderr, /conflicting options: port publishing and the container type network mode/);
  await engine.ok("rm", "-f", "guest", "onhost");
});
