import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readlinkSync } from "node:fs";
import { get } from "node:http";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { TestEngine, until } from "../engine.ts";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

const page = "while :; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\nhello' | nc -l -p 80; done";

/** What a server says to a plain GET; rejects when nothing listens. */
function fetchFrom(host: string, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: 2000 });
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk;
    });
    socket.on("connect", () => socket.write("GET / HTTP/1.0\r\n\r\n"));
    socket.on("end", () => resolve(text));
    socket.on("timeout", () => reject(new Error("timed out")));
    socket.on("error", reject);
  });
}

test("a published port answers on 127.0.0.1, ::1 and the bridge's address, also after a restart", async () => {
  const id = await engine.ok("run", "-d", "-p", "80", "busybox", "httpd", "-f", "-p", "80");
  const port = async () => Number((await engine.ok("port", id, "80/tcp")).split("\n")[0]!.split(":").at(-1));
  const statusOf = async (host: string) => (await fetchFrom(host, await port()).catch(() => "")).startsWith("HTTP/1");
  await until("127.0.0.1 answers", () => statusOf("127.0.0.1"));
  await until("::1 answers", () => statusOf("::1"));
  const gateway = await engine.inspect("bridge", "{{(index .IPAM.Config 0).Gateway}}");
  await until("the gateway answers", () => statusOf(gateway));
  const address = await engine.inspect(id, "{{.NetworkSettings.IPAddress}}");
  await engine.ok("restart", "-t", "0", id);
  assert.equal(await engine.inspect(id, "{{.NetworkSettings.IPAddress}}"), address);
  await until("it answers again", () => statusOf("127.0.0.1"));
  await engine.ok("rm", "-f", id);
});

test("a port that is in use is refused in Docker's words, and the container is left created", async () => {
  const first = await engine.ok("run", "-d", "-p", "127.0.0.1::80", "busybox", "sleep", "1000");
  const port = (await engine.ok("port", first, "80")).split(":").at(-1)!;
  const second = await engine.docker(
    "run",
    "-d",
    "--name",
    "second",
    "-p",
    `127.0.0.1:${port}:80`,
    "busybox",
    "sleep",
    "1000",
  );
  assert.equal(second.code, 125);
  assert.match(second.stderr, /port is already allocated|address already in use/);
  assert.equal(await engine.inspect("second", "{{.State.Status}}"), "created");
  await engine.ok("rm", "-f", first, "second");
});

test("containers of a user-defined network find each other by name, alias and short id; others do not", async () => {
  await engine.ok("network", "create", "meadow");
  const server = await engine.ok(
    "run",
    "-d",
    "--name",
    "server",
    "--network",
    "meadow",
    "--network-alias",
    "www",
    "busybox",
    "sh",
    "-c",
    page,
  );
  for (const name of ["server", "www", server.slice(0, 12)]) {
    const ran = await engine.docker(
      "run",
      "--rm",
      "--network",
      "meadow",
      "busybox",
      "sh",
      "-c",
      `for i in 1 2 3 4 5; do nc ${name} 80 </dev/null && break; sleep 0.2; done`,
    );
    assert.match(ran.stdout, /hello/, name);
  }
  const stranger = await engine.docker("run", "--rm", "busybox", "nc", "-w", "1", "server", "80");
  assert.notEqual(stranger.code, 0);
  const address = await engine.inspect("server", "{{.NetworkSettings.Networks.meadow.IPAddress}}");
  const isolated = await engine.docker("run", "--rm", "busybox", "nc", "-w", "1", address, "80");
  assert.notEqual(isolated.code, 0);
  const busy = await engine.docker("network", "rm", "meadow");
  assert.match(busy.stderr, /has active endpoints/);
  await engine.ok("rm", "-f", "server");
  await engine.ok("network", "rm", "meadow");
});

test("a static address is given and kept; a subnet, a gateway and labels are as asked", async () => {
  await engine.ok(
    "network",
    "create",
    "--subnet",
    "10.213.7.0/24",
    "--gateway",
    "10.213.7.254",
    "--label",
    "a=b",
    "fixed",
  );
  const id = await engine.ok("run", "-d", "--network", "fixed", "--ip", "10.213.7.9", "busybox", "sleep", "1000");
  assert.match(await engine.ok("exec", id, "ip", "-4", "addr", "show", "eth0"), /10\.213\.7\.9\/24/);
  assert.match(await engine.ok("exec", id, "ip", "route"), /default via 10\.213\.7\.254/);
  assert.equal(await engine.inspect("fixed", '{{index .Labels "a"}}'), "b");
  await engine.ok("rm", "-f", id);
  await engine.ok("network", "rm", "fixed");
});

test("--network none has lo alone, host has the host's, container: another's", async () => {
  assert.deepEqual(
    (await engine.ok("run", "--rm", "--network", "none", "busybox", "ls", "/sys/class/net"))
      .split("\n")
      .filter((name) => !/^(ifb|tunl|sit|ip6|gre|erspan|ip_vti|dummy)/.test(name)),
    ["lo"],
  );
  const host = execFileSync("ls", ["/sys/class/net"]).toString().trim();
  assert.ok(
    (await engine.ok("run", "--rm", "--network", "host", "busybox", "ls", "/sys/class/net"))
      .split("\n")
      .includes(host.split("\n")[0]!),
  );
  const owner = await engine.ok("run", "-d", "busybox", "sleep", "1000");
  const guest = await engine.ok("run", "-d", "--network", `container:${owner}`, "busybox", "sleep", "1000");
  const namespace = async (id: string) => readlinkSync(`/proc/${await engine.inspect(id, "{{.State.Pid}}")}/ns/net`);
  assert.equal(await namespace(owner), await namespace(guest));
  await engine.ok("rm", "-f", guest, owner);
});

test("connect and disconnect change a running container's interfaces", async () => {
  await engine.ok("network", "create", "later");
  const id = await engine.ok("run", "-d", "busybox", "sleep", "1000");
  await engine.ok("network", "connect", "later", id);
  assert.match(await engine.ok("exec", id, "ip", "link"), /eth1/);
  await engine.ok("network", "disconnect", "later", id);
  assert.doesNotMatch(await engine.ok("exec", id, "ip", "link"), /eth1/);
  await engine.ok("rm", "-f", id);
  await engine.ok("network", "rm", "later");
});

test("--add-host, --dns and host-gateway reach hosts and resolv.conf", async () => {
  const hosts = await engine.ok(
    "run",
    "--rm",
    "--add-host",
    "db:10.1.2.3",
    "--add-host",
    "up:host-gateway",
    "busybox",
    "cat",
    "/etc/hosts",
  );
  assert.match(hosts, /^10\.1\.2\.3\tdb$/m);
  const gateway = await engine.inspect("bridge", "{{(index .IPAM.Config 0).Gateway}}");
  assert.match(hosts, new RegExp(`^${gateway.replaceAll(".", "\\.")}\\tup$`, "m"));
  assert.match(
    await engine.ok("run", "--rm", "--dns", "192.0.2.53", "busybox", "cat", "/etc/resolv.conf"),
    /nameserver 192\.0\.2\.53/,
  );
});

test("rules that someone flushed are back within a second", async () => {
  const id = await engine.ok("run", "-d", "-p", "127.0.0.1::80", "busybox", "httpd", "-f", "-p", "80");
  const rule = async () =>
    execFileSync("iptables-save", ["-t", "nat"])
      .toString()
      .includes(await engine.inspect(id, "{{.NetworkSettings.IPAddress}}"));
  assert.equal(await rule(), true);
  execFileSync("iptables", ["-t", "nat", "-F", "DOCKER"]);
  await until("the rule is back", rule, 1000);
  await engine.ok("rm", "-f", id);
});

/** Status of a GET on the engine's socket; undefined: nobody listens. */
function statusOf(path: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    const request = get({ socketPath: engine.socket, path }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.on("error", () => resolve(undefined));
  });
}

test("the first request after a start knows the networks and the images", async () => {
  await engine.endDaemon("SIGTERM");
  const started = engine.startDaemon();
  for (const path of ["/networks/bridge", "/images/busybox/json"]) {
    let status: number | undefined;
    await until(`${path} is answered`, async () => {
      status = await statusOf(path);
      return status !== undefined;
    });
    assert.equal(status, 200, path);
  }
  await started;
});
