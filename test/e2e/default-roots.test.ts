/** hulld without any flags, as on a machine of its own: private network, and nothing of the machine's below /run and /var/lib. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Ran, run, until } from "../engine.ts";
import { NetworkLab, webStatus } from "../network-lab.ts";
import { root } from "../tidy/source-tree.ts";

const lab = new NetworkLab();
const directory = mkdtempSync("/var/tmp/hull-default-");
const hulld = `${root}/dist/bin/hulld`;
let machine: ChildProcess;
const daemons: ChildProcess[] = [];

before(async () => {
  const own = "mount -t tmpfs tmpfs /var/lib; mount -t tmpfs tmpfs /run; echo ready; exec sleep infinity";
  const [program, ...args] = lab.inside;
  const command = [...args, "unshare", "--mount", "sh", "-ec", own];
  machine = spawn(program!, command, { stdio: ["ignore", "pipe", "inherit"] });
  await new Promise((resolve) => machine.stdout!.once("data", resolve));
  lab.sh("echo 0 > /proc/sys/net/ipv4/ip_forward");
});
after(async () => {
  for (const daemon of daemons) if (daemon.exitCode === null) await end(daemon);
  machine.kill("SIGKILL");
  lab[Symbol.dispose]();
  rmSync(directory, { recursive: true });
});

/** A path on that machine, seen from this one. */
const seen = (path: string): string => `/proc/${machine.pid}/root${path}`;
const onMachine = (): string[] => ["nsenter", "-t", String(machine.pid), "--mount", "--net"];

function start(...flags: string[]): ChildProcess {
  const [program, ...args] = onMachine();
  const daemon = spawn(program!, [...args, hulld, ...flags], { stdio: ["ignore", "ignore", "pipe"] });
  daemons.push(daemon);
  return daemon;
}

async function end(daemon: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => daemon.once("exit", resolve));
  daemon.kill("SIGTERM");
  await ended;
}

const docker = (socket: string, ...args: string[]): Promise<Ran> =>
  run(["docker", ...args], { DOCKER_HOST: `unix://${seen(socket)}` });

async function ok(socket: string, ...args: string[]): Promise<string> {
  const ran = await docker(socket, ...args);
  assert.equal(ran.code, 0, `${args.join(" ")}: ${ran.stderr}`);
  return ran.stdout.trim();
}

const answers = async (socket: string): Promise<boolean> => (await docker(socket, "version")).code === 0;
/** Name and addresses of the default bridge; empty until they are known. */
async function bridgeOf(socket: string): Promise<string> {
  const format = '{{index .Options "com.docker.network.bridge.name"}} {{json .IPAM.Config}}';
  return (await docker(socket, "network", "inspect", "bridge", "-f", format)).stdout.trim();
}

/** Docker's own socket, and ours. */
const sockets = ["/run/docker.sock", "/run/hull/docker.sock"] as const;
const [dockers] = sockets;
const SECOND_MS = 1000;

test("it serves Docker's socket beside its own, both for root and the group docker", { timeout: 60_000 }, async () => {
  start();
  for (const socket of sockets) {
    await until(`${socket} answers`, () => answers(socket));
    assert.equal(statSync(seen(socket)).mode & 0o777, 0o660);
  }
  const made = await run([`${root}/dist/bin/hull`, "image", "make-base"], { DOCKER_HOST: `unix://${seen(dockers)}` });
  assert.equal(made.code, 0, made.stderr);
});

test("in Docker's place its bridge is docker0 with Docker's addresses, and interfaces look as Docker's do", {
  timeout: 60_000,
}, async () => {
  assert.equal(await bridgeOf(dockers), 'docker0 [{"Subnet":"172.17.0.0/16","Gateway":"172.17.0.1"}]');
  assert.match(
    lab.sh("ip -o -4 addr show docker0"),
    /inet 172\.17\.0\.1\/16 brd 172\.17\.255\.255 scope global docker0/,
  );
  await ok(dockers, "run", "-d", "--name", "web", "-p", "8080:80", "busybox", "httpd", "-f", "-p", "80", "-h", "/etc");
  const web = await ok(dockers, "inspect", "-f", "{{.NetworkSettings.IPAddress}}", "web");
  assert.equal(web, "172.17.0.2");
  assert.match(
    lab.sh("ip link"),
    /^\d+: veth[0-9a-f]{7}@if\d+: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 .* master docker0 /m,
  );
  await until("its port answers", async () => (await webStatus(lab.outside, lab.host4, 8080)) === "404");
});

test("data and state are where people look for them", () => {
  for (const path of ["/var/lib/hull/overlay2", "/var/lib/hull/containers", "/run/hull/containerd/containerd.sock"]) {
    assert.ok(existsSync(seen(path)), path);
  }
});

test("either socket's file is back within a second after it was deleted", { timeout: 60_000 }, async () => {
  for (const socket of sockets) {
    rmSync(seen(socket));
    await until(`${socket} answers`, () => answers(socket), SECOND_MS);
  }
});

test("a second one with the same roots is refused and harms nothing", { timeout: 60_000 }, async () => {
  const ended = await run([...onMachine(), hulld], {});
  assert.equal(ended.code, 1);
  assert.match(ended.stderr, /failed to start daemon: .*\/(var\/lib|run)\/hull/);
  for (const socket of sockets) assert.ok(await answers(socket));
});

test("where another engine has Docker's place it leaves that and has hull0", { timeout: 60_000 }, async () => {
  const other = start("--data-root", "/var/lib/b", "--exec-root", "/run/b", "--host", "unix:///run/b/docker.sock");
  await until("its bridge is known", async () => (await bridgeOf("/run/b/docker.sock")) !== "");
  assert.equal(await bridgeOf("/run/b/docker.sock"), 'hull0 [{"Subnet":"172.18.0.0/16","Gateway":"172.18.0.1"}]');
  await end(other);
  assert.ok(await answers(dockers));
  assert.match(lab.rules(), /docker0/);
  assert.doesNotMatch(lab.rules(), /hull0/);
});

/** Directories of control groups that name the container. */
function cgroupsOf(id: string): string[] {
  const trees = readdirSync("/sys/fs/cgroup").map((name) => join("/sys/fs/cgroup", name, "hull", id));
  return [...trees, join("/sys/fs/cgroup/hull", id)].filter(existsSync);
}

test("SIGTERM without containers undoes everything: rules, bridge, namespaces, cgroups, forwarding, sockets", {
  timeout: 60_000,
}, async () => {
  const id = await ok(dockers, "inspect", "-f", "{{.Id}}", "web");
  assert.notDeepEqual(cgroupsOf(id), []);
  assert.equal(lab.sh("cat /proc/sys/net/ipv4/ip_forward").trim(), "1");
  assert.match(lab.rules(), /:FORWARD DROP/);
  await ok(dockers, "rm", "-f", "web");
  await ok(dockers, "network", "create", "meadow");
  await end(daemons[0]!);
  const mounts = () => readFileSync(`/proc/${machine.pid}/mountinfo`, "utf8").match(/ \/(run|var\/lib)\/hull\S*/g);
  await until("no rule is left", () => !/DOCKER|HULL|docker0|FORWARD DROP/.test(lab.rules()));
  await until("only the cable and loopback are left", () => lab.sh("ip -o link").trim().split("\n").length === 2);
  await until("no namespace and no layer is mounted", () => mounts() === null);
  assert.deepEqual(cgroupsOf(id), []);
  assert.equal(lab.sh("cat /proc/sys/net/ipv4/ip_forward").trim(), "0");
  for (const socket of sockets) assert.ok(!existsSync(seen(socket)), socket);
  assert.ok(!existsSync(seen("/run/hull-host")));
});

test("what was removed from the kernel comes back with the next start", { timeout: 60_000 }, async () => {
  const again = start();
  await until("it answers", () => answers(dockers));
  await until("its networks are known", async () => /meadow/.test(await ok(dockers, "network", "ls")));
  await until(
    "its bridges are there",
    () => /docker0/.test(lab.sh("ip link")) && /br-[0-9a-f]{12}/.test(lab.sh("ip link")),
  );
  await end(again);
});
