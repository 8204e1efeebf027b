import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  createReadStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { asRoot, containerOperations, runToEnd, shell, standardMounts, TestRoot } from "./container-harness.ts";
import { NO_SLOT } from "./operations.ts";
import { operation } from "./plan.ts";
import { StandAlone } from "./stand-alone.ts";

const user = (name: string, extraGroups: readonly string[] = []) => [
  operation("setUserByName", { user: name, umask: 0o22, extraGroups }),
  operation("capabilities", { bounding: 0xa80425fbn }),
];
const CLONE_NEWUSER = 0x10000000;
/** proc, /dev, devpts, shm, mqueue: three operations each. */
const MOUNTS_BEFORE_SYS = 5;
const OPEN_TREE_CLONE = 1;
const MOUNT_SETATTR = 442;
const ENOSYS = 38;
const MS_PRIVATE = 1 << 18;
const CLONE_ALL = 0x20000 | 0x8000000 | 0x20000000 | 0x4000000;

test("a container has its own root, name, processes and devices, and what is dangerous is covered", async () => {
  using root = new TestRoot();
  const script =
    "hostname; ps | grep -c sh; ls /dev; cat /proc/kcore; echo 1 > /proc/sys/kernel/hostname; ls /sys/firmware | grep -c .; mount | grep -c .; exit 7";
  const { code, output } = await runToEnd(root, { argv: shell(script) });
  assert.equal(code, 7);
  assert.match(output, /^box\n/);
  assert.match(output, /full\nmqueue\nnull\nptmx\npts\nrandom\nshm\nurandom\nzero/);
  assert.match(output, /\/proc\/sys\/kernel\/hostname: Read-only file system/);
  assert.ok(!existsSync(join(root.path, "dev/null")), "devices belong into the container's own /dev");
});

test("root gets the asked capabilities and no others", async () => {
  using root = new TestRoot();
  const { output } = await runToEnd(root, { argv: ["grep", "Cap", "/proc/self/status"] });
  const have = Object.fromEntries([...output.matchAll(/Cap(\w+):\s+([0-9a-f]+)/g)].map(([, set, bits]) => [set, bits]));
  assert.equal(have.Eff, have.Prm);
  assert.equal(have.Bnd, have.Prm);
  assert.equal(BigInt(`0x${have.Eff}`) & ~0xa80425fbn, 0n);
  assert.equal(have.Inh, "0000000000000000");
});

const users: readonly (readonly [string, readonly string[], RegExp])[] = [
  ["bob", [], /uid=1000\(bob\) gid=1000\(bob\) groups=10\(wheel\),1000\(bob\)\nHOME=\/home\/bob/],
  ["1000", [], /uid=1000\(bob\) gid=1000\(bob\)/],
  ["bob:wheel", [], /gid=10\(wheel\) groups=10\(wheel\)\n/],
  ["4242", [], /uid=4242 gid=0\(root\) groups=0\(root\)\nHOME=\/\n/],
  ["4242:77", ["wheel", "99"], /uid=4242 gid=77 groups=10\(wheel\),77,99/],
];
for (const [name, extra, wanted] of users) {
  test(`user ${name} with groups [${extra}] is looked up in the container's own files`, async () => {
    using root = new TestRoot();
    const { output } = await runToEnd(root, { argv: shell("id; env | grep HOME"), process: user(name, extra) });
    assert.match(output, wanted);
  });
}

const refusedUsers: readonly (readonly [string, RegExp])[] = [
  ["nobody-here", /unable to find user nobody-here: no matching entries in passwd file/],
  ["bob:nogroup-here", /unable to find group nogroup-here: no matching entries in group file/],
  ["-1", /uids and gids must be in range 0-2147483647/],
  ["4294967296", /uids and gids must be in range 0-2147483647/],
];
for (const [name, wanted] of refusedUsers) {
  test(`user ${name} is refused with Docker's words`, async () => {
    using root = new TestRoot();
    await assert.rejects(runToEnd(root, { argv: ["true"], process: user(name) }), wanted);
  });
}

test("a FIFO in place of /etc/passwd neither hangs nor counts", async () => {
  using root = new TestRoot();
  rmSync(join(root.path, "etc/passwd"));
  execFileSync("mkfifo", [join(root.path, "etc/passwd")]);
  const { code } = await runToEnd(root, { argv: ["true"], process: user("7") });
  assert.equal(code, 0);
  await assert.rejects(runToEnd(root, { argv: ["true"], process: user("bob") }), /unable to find user bob/);
});

const programs: readonly (readonly [string, RegExp])[] = [
  ["nope", /exec: "nope": executable file not found in \$PATH.*ENOENT/],
  ["/bin/nope", /exec: "\/bin\/nope": stat \/bin\/nope: no such file or directory.*ENOENT/],
  ["/etc/passwd", /exec: "\/etc\/passwd": permission denied.*EACCES/],
  ["/etc", /exec: "\/etc": is a directory.*EACCES/],
];
for (const [name, wanted] of programs) {
  test(`${name} can't be executed, which is said before the start`, async () => {
    using root = new TestRoot();
    await assert.rejects(runToEnd(root, { argv: [name] }), wanted);
  });
}

test("procfs is not mounted over a link (CVE-2019-19921)", async () => {
  using root = new TestRoot();
  rmSync(join(root.path, "proc"), { recursive: true });
  symlinkSync("/tmp", join(root.path, "proc"));
  await assert.rejects(runToEnd(root, { argv: ["true"] }), /must be mounted on an ordinary directory/);
});

test("an image whose /dev is a link gets no device outside of its root (CVE-2026-41579)", async () => {
  using root = new TestRoot();
  const outside = join(root.directory, "outside");
  mkdirSync(outside);
  rmSync(join(root.path, "dev"), { recursive: true });
  symlinkSync(outside, join(root.path, "dev"));
  const { code } = await runToEnd(root, { argv: ["true"] });
  assert.equal(code, 0);
  assert.deepEqual(readdirSync(outside), []);
});

test("a link in place of /dev/null does not become a mask (CVE-2025-31133)", async () => {
  using root = new TestRoot();
  const swapped = standardMounts.filter((op) => op.subject !== "/dev/null");
  const link = operation("symlinkIn", { rootSlot: 10, target: "/proc/sysrq-trigger", path: "/dev/null" });
  await assert.rejects(runToEnd(root, { argv: ["true"], beforePivot: [...swapped, link] }), /mask \/proc/);
});

test("a leaked descriptor is no way out for the working directory (CVE-2024-21626)", async () => {
  using root = new TestRoot();
  writeFileSync(join(root.directory, "secret"), "secret");
  const leak = operation("open", { slot: 20, flags: 0o200000, path: "/" });
  let refused = 0;
  for (let fd = 3; fd < 12; fd++) {
    const argv = ["cat", `.${root.directory}/secret`];
    const process = [...asRoot, operation("cwd", { path: `/proc/self/fd/${fd}` })];
    const ended = await runToEnd(root, { argv, beforeClone: [leak], process }).catch((error) => error as Error);
    if (ended instanceof Error) refused += /outside of the container's root/.test(ended.message) ? 1 : 0;
    else assert.notEqual(ended.code, 0, `descriptor ${fd}`);
  }
  assert.ok(refused > 0);
});

test("hooks get the state with the host's pid: on the host before the container's own", async () => {
  using root = new TestRoot();
  const seen = join(root.directory, "seen");
  const hook = (where: number, script: string) =>
    operation("hook", { where, timeoutMs: 5000, path: "/bin/sh", argv: ["sh", "-c", script], state: '{"pid":@PID@}' });
  const onHost = hook(1, `cat > ${seen}; readlink /proc/self/ns/mnt >> ${seen}`);
  const inside = hook(0, "cat > /hook; test -e /proc/1/exe");
  const at = operation("cwd", { path: "/" });
  const { keel } = await runToEnd(root, {
    argv: ["true"],
    beforePivot: [...standardMounts, onHost],
    process: [inside, at, ...asRoot],
  });
  const [state, namespace] = readFileSync(seen, "utf8").split("}");
  assert.equal(state, `{"pid":${keel.pid}`);
  assert.equal(namespace?.trim(), execFileSync("readlink", ["/proc/self/ns/mnt"]).toString().trim());
  assert.equal(readFileSync(join(root.path, "hook"), "utf8"), `{"pid":${keel.pid}}`);
});

test("a failing hook fails the start with its words", async () => {
  using root = new TestRoot();
  const argv = ["sh", "-c", "echo not today >&2; exit 3"];
  const hook = operation(
    "hook",
    { where: 1, path: "/bin/sh", argv, state: "{}" },
    { cause: "config.json /hooks/prestart/0" },
  );
  const run = runToEnd(root, { argv: ["true"], beforePivot: [hook] });
  await assert.rejects(run, /exit status 3, stderr: not today.*config.json \/hooks\/prestart\/0/s);
});

/** Loads the system call number; an errno (EPERM) for one, everything else allowed. */
function denying(systemCall: number, errno = 1): Uint8Array {
  const program = Buffer.alloc(4 * 8);
  const put = (i: number, code: number, jumps: readonly [number, number], k: number) => {
    program.writeUInt16LE(code, i * 8);
    program.writeUInt8(jumps[0], i * 8 + 2);
    program.writeUInt8(jumps[1], i * 8 + 3);
    program.writeUInt32LE(k, i * 8 + 4);
  };
  put(0, 0x20, [0, 0], 0);
  put(1, 0x15, [0, 1], systemCall);
  put(2, 0x06, [0, 0], 0x00050000 | errno);
  put(3, 0x06, [0, 0], 0x7fff0000);
  return program;
}

test("a seccomp filter holds in the container", async () => {
  using root = new TestRoot();
  const MKDIR = process.arch === "x64" ? 83 : 34;
  const filter = [operation("noNewPrivileges", {}), operation("seccomp", { program: denying(MKDIR) })];
  const { output } = await runToEnd(root, { argv: shell("mkdir /x; echo $?"), process: [...asRoot, ...filter] });
  assert.match(output, /Operation not permitted\n1\n/);
});

test("a kernel without mount_setattr gets read-only binds and paths by remounting", async () => {
  using root = new TestRoot();
  const source = join(root.directory, "source");
  mkdirSync(source);
  const { output } = await runToEnd(root, {
    argv: shell("touch /data/x; touch /proc/sys/kernel/hostname; echo 1 > /proc/sys/kernel/hostname"),
    beforeClone: [
      operation("seccomp", { program: denying(MOUNT_SETATTR, ENOSYS) }),
      operation("openTree", { slot: 21, flags: OPEN_TREE_CLONE, path: source }),
      operation("mountSetattr", { slot: 21, set: 1, propagation: MS_PRIVATE, usernsSlot: NO_SLOT }),
    ],
    beforePivot: [
      ...standardMounts,
      operation("moveMountIn", { slot: 21, rootSlot: 10, create: 2, mode: 0o755, path: "/data" }),
    ],
  });
  assert.match(output, /\/data\/x: Read-only file system/);
  assert.match(output, /\/proc\/sys\/kernel\/hostname: Read-only file system/);
});

test("root of a user namespace is the mapped user outside", async () => {
  using root = new TestRoot();
  execFileSync("chown", ["-R", "100000:100000", root.directory]);
  const script = "id -u; cat /proc/self/uid_map; touch /made";
  const { output } = await runToEnd(root, {
    argv: shell(script),
    cloneFlags: CLONE_ALL | CLONE_NEWUSER,
    idMap: "0 100000 65536\n",
    beforeClone: [operation("openTree", { slot: 21, flags: OPEN_TREE_CLONE, path: "/dev/null" })],
    beforePivot: [
      ...standardMounts.slice(0, MOUNTS_BEFORE_SYS * 3),
      operation("moveMountIn", { slot: 21, rootSlot: 10, create: 1, mode: 0o644, path: "/dev/null" }),
    ],
    process: [operation("setUser", { uid: 0, gid: 0, umask: 0o22, groups: new Uint8Array(4) })],
  });
  assert.match(output, /^0\n\s+0\s+100000\s+65536/);
  assert.equal(
    execFileSync("stat", ["-c", "%u", join(root.path, "made")])
      .toString()
      .trim(),
    "100000",
  );
});

test("a created container waits at its FIFO, takes an exec, and ends by a signal", async () => {
  using root = new TestRoot();
  const fifo = join(root.directory, "exec.fifo");
  execFileSync("mkfifo", [fifo]);
  const created = await StandAlone.begin({
    operations: containerOperations(root, {
      argv: ["sleep", "100"],
      beforeClone: [operation("open", { slot: 30, flags: 0o10000000, path: fifo })],
      wait: [operation("waitFifo", { slot: 30 })],
    }),
    mode: { kind: "create" },
    stdio: ["ignore", "ignore", "ignore"],
  });
  try {
    assert.equal(await created.exit, 0);
    assert.match(readFileSync(`/proc/${created.pid}/comm`, "utf8"), /keel-init/);
    for await (const bytes of createReadStream(fifo)) assert.equal(String(bytes), "0");
    const output = join(root.directory, "out");
    writeFileSync(output, "");
    const exec = await StandAlone.begin({
      operations: [
        operation("setnsInit", { mask: CLONE_ALL }),
        operation("clone", { cgroupSlot: 0xffffffff }),
        operation("lookPath", { argv0: "sh", envp: ["PATH=/bin"] }),
        operation("waitStart", {}),
        operation("execve", { argv: shell("hostname > /from-exec; exit 5"), envp: ["PATH=/bin"] }),
      ],
      mode: { kind: "exec", initPid: created.pid, detach: false },
      stdio: ["ignore", "ignore", "ignore"],
    });
    assert.equal(await exec.exit, 5);
    assert.equal(readFileSync(join(root.path, "from-exec"), "utf8"), "box\n");
  } finally {
    process.kill(created.pid, "SIGKILL");
  }
});
