import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { RunVertex } from "../graph/vertex.ts";
import { noLimits, runVertex, TestBuilder } from "./harness.ts";
import { pathsBelow } from "./stubs.ts";

let builder: TestBuilder;
before(async () => {
  builder = await TestBuilder.open();
});
after(() => builder[Symbol.asyncDispose]());

interface Case {
  readonly title: string;
  readonly script: string;
  readonly vertex?: Partial<RunVertex>;
  readonly stdout?: string | RegExp;
  readonly exitCode?: number;
}

const cases: readonly Case[] = [
  { title: "what a command writes to stdout comes out", script: "echo hello", stdout: "hello\n" },
  { title: "the exit code is the command's", script: "exit 42", exitCode: 42 },
  {
    title: "a program that a signal ended has 128 and its number",
    script: "exec 2>/dev/null; sh -c 'kill -9 $$'; exit $?",
    exitCode: 137,
  },
  { title: "/dev/stdout can be opened", script: "echo there > /dev/stdout", stdout: "there\n" },
  {
    title: "/dev/stderr and /dev/stdout can be opened by a user that is not root",
    script: "echo out > /dev/stdout; busybox test -w /dev/stderr && echo ok",
    vertex: { user: "bob" },
    stdout: "out\nok\n",
  },
  {
    title: "it is no likelier to be killed for memory than a container",
    script: "cat /proc/self/oom_score_adj",
    stdout: "0\n",
  },
  { title: "without a user it is root with the home of root", script: "id -u; echo $HOME", stdout: "0\n/root\n" },
  {
    title: "a user by name has its groups and its home",
    script: "id -u; id -G; echo $HOME",
    vertex: { user: "bob" },
    stdout: "1000\n1000 10\n/home/bob\n",
  },
  { title: "a user by number and group", script: "id -u; id -g", vertex: { user: "7:8" }, stdout: "7\n8\n" },
  {
    title: "PATH is Docker's where the image has none",
    script: "echo $PATH",
    vertex: { env: [] },
    stdout: /^\/usr\/local\/sbin/,
  },
  {
    title: "variables that are no part of the key are there",
    script: "echo $A $http_proxy",
    vertex: { env: ["PATH=/bin", "A=1"], uncachedEnv: ["http_proxy=p"] },
    stdout: "1 p\n",
  },
  {
    title: "the hostname is the vertex's",
    script: "hostname; cat /etc/hostname; echo $HOSTNAME",
    stdout: "buildkitsandbox\nbuildkitsandbox\nbuildkitsandbox\n",
  },
  {
    title: "extra hosts stand in /etc/hosts",
    script: "grep -E 'a.test|gate' /etc/hosts",
    vertex: { extraHosts: ["a.test:192.0.2.7", "gate:host-gateway"] },
    stdout: "192.0.2.7\ta.test\n192.0.2.1\tgate\n",
  },
  {
    title: "/dev/shm has the size that was asked for",
    script: "busybox df -k /dev/shm | busybox tail -n 1 | busybox awk '{print $2}'",
    vertex: { limits: { ...noLimits, shmBytes: 3 << 20 } },
    stdout: "3072\n",
  },
  {
    title: "resource limits of the build hold",
    script: "ulimit -n",
    vertex: { limits: { ...noLimits, ulimits: ["nofile=123:456"] } },
    stdout: "123\n",
  },
  { title: "it has Docker's capabilities", script: "grep CapEff /proc/self/status", stdout: /00000000a80425fb/ },
  { title: "it is filtered", script: "grep Seccomp: /proc/self/status", stdout: /2\n/ },
  {
    title: "--security=insecure is not filtered and may change the kernel's settings",
    script: "grep Seccomp: /proc/self/status; busybox test -w /proc/sys/kernel/panic && echo open",
    vertex: { security: "insecure" },
    stdout: /\t0\nopen\n/,
  },
  { title: "network none has a loopback and nothing else", script: "ls /sys/class/net", stdout: "lo\n" },
  {
    title: "network host is the machine's",
    script: "busybox readlink /proc/self/ns/net",
    vertex: { network: "host" },
    stdout: new RegExp(readNamespace()),
  },
  { title: "it is process 1 of its own", script: "echo $$", stdout: "1\n" },
];

function readNamespace(): string {
  return readlinkSync("/proc/self/ns/net").replace(/[[\]]/g, "\\$&");
}

for (const { title, script, vertex, stdout = "", exitCode = 0 } of cases)
  test(title, async () => {
    const ran = await builder.run(runVertex(script, vertex));
    assert.deepEqual([ran.exitCode, ran.stderr, ran.outOfMemory], [exitCode, "", false]);
    if (stdout instanceof RegExp) assert.match(ran.stdout, stdout);
    else assert.equal(ran.stdout, stdout);
  });

test("what a command writes is in the layer, and nothing that the runtime needed", async () => {
  const { layer } = await builder.run("mkdir /made; echo x > /made/file; echo y > /tmp/z");
  assert.deepEqual(pathsBelow(layer.upper).sort(), ["made", "made/file", "tmp", "tmp/z"]);
  assert.equal(readFileSync(join(layer.upper, "made/file"), "utf8"), "x\n");
});

test("a missing working directory is made and stays", async () => {
  const ran = await builder.run(runVertex("busybox pwd", { workingDirectory: "/srv/app" }));
  assert.deepEqual([ran.stdout, pathsBelow(ran.layer.upper)], ["/srv/app\n", ["srv", "srv/app"]]);
});

test("stderr is told apart", async () => {
  const { stdout, stderr } = await builder.run("echo out; echo err >&2");
  assert.deepEqual([stdout, stderr], ["out\n", "err\n"]);
});

test("a layer on nothing is run as it is, and its mount points go again", async () => {
  const layer = builder.layerOfRoot();
  const was = pathsBelow(layer.upper);
  const ran = await builder.run(runVertex("echo new > /new", { workingDirectory: "/" }), { layer });
  assert.equal(ran.exitCode, 0);
  assert.deepEqual(pathsBelow(layer.upper).sort(), [...was, "new"].sort());
});

const missing: readonly (readonly [title: string, argv: readonly string[], exitCode: number, words: RegExp])[] = [
  [
    "a program that is not there is exit code 127",
    ["/nope"],
    127,
    /exec: "\/nope": stat \/nope: no such file or directory\n$/,
  ],
  [
    "a command that no directory of PATH has is exit code 127",
    ["nope"],
    127,
    /exec: "nope": executable file not found in \$PATH\n$/,
  ],
  [
    "a file that may not be executed is exit code 126",
    ["/etc/passwd"],
    126,
    /exec: "\/etc\/passwd": permission denied\n$/,
  ],
];

for (const [title, argv, exitCode, words] of missing)
  test(title, async () => {
    const ran = await builder.run(runVertex("", { argv }));
    assert.equal(ran.exitCode, exitCode);
    assert.match(ran.stderr, words);
    assert.ok(ran.stderr.endsWith(`: ${ran.notStarted}\n`), ran.notStarted);
  });

test("a program of another machine is exit code 255 and says so, and nothing of its making is in the layer", async () => {
  const top = join(builder.directory, "foreign");
  mkdirSync(join(top, "opt"), { recursive: true });
  writeFileSync(join(top, "opt/foreign"), "\x7fELF\x02\x01\x01", { mode: 0o755 });
  const ran = await builder.run(runVertex("", { argv: ["/opt/foreign"] }), {
    layer: builder.layer([top, builder.root.path]),
  });
  assert.deepEqual([ran.exitCode, ran.stderr], [255, "exec /opt/foreign: exec format error\n"]);
  assert.deepEqual(pathsBelow(ran.layer.upper), []);
});

test("an unknown user is an error that names it", async () => {
  await assert.rejects(builder.run(runVertex("true", { user: "ghost" })), {
    message: "unable to find user ghost: no matching entries in passwd file",
  });
});

test("a command that is killed for its memory is told so", async () => {
  const limits = { ...noLimits, memoryBytes: 16 << 20, memorySwapBytes: 16 << 20 };
  const ran = await builder.run(runVertex("busybox tail /dev/zero", { limits }));
  assert.deepEqual([ran.exitCode, ran.outOfMemory], [137, true]);
});

test("afterwards there is no cgroup, no network, no directory of it", async () => {
  await builder.run("true");
  await builder.runner.settled();
  assert.deepEqual(builder.warnings, []);
  assert.equal(builder.networks.connected.size, 0);
  for (const root of ["exec", "data"]) assert.deepEqual(readdirSync(join(builder.directory, root, "buildkit/run")), []);
  const parent = join("/sys/fs/cgroup/memory", builder.cgroupParent);
  if (existsSync(parent))
    assert.deepEqual(
      readdirSync(parent, { withFileTypes: true }).filter((e) => e.isDirectory()),
      [],
    );
});
