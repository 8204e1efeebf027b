import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { defaultSeccomp } from "../../src/oci/default-seccomp.ts";
import { keelPath } from "../../src/platform/paths.ts";
import { type Config, removeSharedCgroups, TestBundle } from "./bundle.ts";

after(removeSharedCgroups);

function outputOf(script: string, change?: (config: Config) => void): string {
  using bundle = new TestBundle(["sh", "-c", script], change);
  const { code, stdout, stderr } = bundle.runc("run", bundle.id);
  assert.equal(code, 0, stderr);
  return stdout;
}

test("the container has what Docker's have: its own pids, hostname, loopback, devices, masked paths", () => {
  const out = outputOf(
    "echo $$; hostname; ls /sys/class/net; ls /dev; touch /x; echo 1 >/proc/sys/kernel/panic; ls /sys/firmware | wc -l; stat -c %F /dev/null; cat /proc/keys",
  ).split("\n");
  assert.deepEqual(out.slice(0, 3), ["1", "runc", "lo"]);
  assert.deepEqual(
    out.slice(3, -3),
    "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero".split(" "),
  );
  assert.deepEqual(out.slice(-3), ["0", "character special file", ""]);
});

test("mounts: binds read-only and not, tmpfs with its mode, files made where they are missing, recursive read-only", () => {
  using source = new TestBundle(["true"]);
  const directory = join(source.directory, "data");
  mkdirSync(join(directory, "sub"), { recursive: true });
  writeFileSync(join(directory, "file"), "content\n");
  const out = outputOf(
    "touch /rw/made && echo ok; touch /ro/no 2>&1; cat /one/file; stat -c %a /t /keep; mount | grep ' /t '; touch /t/x && echo t; touch /rot/x 2>&1; ls /rot",
    (config) => {
      config.root = { path: "rootfs", readonly: false };
      config.mounts.push(
        { destination: "/rw", type: "bind", source: directory, options: ["rbind", "rprivate"] },
        { destination: "/ro", type: "bind", source: directory, options: ["rbind", "rro"] },
        { destination: "/one/file", type: "bind", source: join(directory, "file"), options: ["bind", "ro"] },
        { destination: "/t", type: "tmpfs", source: "tmpfs", options: ["mode=700", "size=1m", "noexec"] },
        { destination: "/keep", type: "tmpfs", source: "tmpfs" },
        { destination: "/rot", type: "tmpfs", source: "tmpfs", options: ["ro"] },
        { destination: "/rot/in", type: "bind", source: directory, options: ["bind"] },
      );
    },
  );
  assert.match(out, /^ok\ntouch: \/ro\/no: Read-only file system\ncontent\n700\n755\n/);
  assert.match(out, /tmpfs on \/t type tmpfs \(rw,noexec,relatime,size=1024k,mode=700\)\nt\n/);
  assert.match(out, /touch: \/rot\/x: Read-only file system\nin\n$/);
  assert.ok(existsSync(join(directory, "made")));
});

test("users by number and by name, groups, umask, limits, capabilities", () => {
  const script =
    "id -u; id -g; id -G; umask; ulimit -n; grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status; echo $HOME";
  const out = outputOf(script, ({ process }) => {
    process.user = { uid: 1000, gid: 1001, additionalGids: [44, 7], umask: 0o77 };
    process.rlimits = [{ type: "RLIMIT_NOFILE", soft: 100, hard: 200 }];
    process.capabilities = { bounding: ["CAP_KILL"], effective: [], permitted: [] };
  });
  assert.match(out, /^1000\n1001\n1001 7 44\n|^1000\n1001\n1001 44 7\n/);
  assert.match(out, /0077\n100\nCapEff:\t0+\nCapBnd:\t0+20\nNoNewPrivs:\t1\n/);
  const named = outputOf("id -u; id -g; id -G; echo $HOME", ({ process }) => {
    process.user = { username: "app", additionalGroups: ["7"] };
  }).split("\n");
  assert.deepEqual([named[0], named[1], named[3]], ["1000", "1001", "/home/app"]);
  assert.deepEqual(
    named[2]!
      .split(" ")
      .map(Number)
      .sort((a, b) => a - b),
    [7, 44, 1001],
  );
});

test("an unknown user is an error in Docker's words", () => {
  using bundle = new TestBundle(["true"], ({ process }) => {
    process.user = { username: "nobody-here" };
  });
  assert.match(
    bundle.runc("run", bundle.id).stderr,
    /unable to find user nobody-here: no matching entries in passwd file/,
  );
});

test("Docker's seccomp profile is in force: a namespace can't be made, a mount is refused", () => {
  const out = outputOf("grep Seccomp: /proc/self/status; mount -t tmpfs x /tmp 2>&1; exit 0", ({ process, linux }) => {
    const all = ["CAP_SYS_ADMIN"];
    process.capabilities = { bounding: all, effective: all, permitted: all };
    linux.seccomp = JSON.parse(
      JSON.stringify(defaultSeccomp([], "amd64"), (_, value) => (typeof value === "bigint" ? Number(value) : value)),
    );
  });
  assert.match(out, /Seccomp:\t2\nmount: permission denied/);
});

test("sysctls, a user namespace with its maps, a joined namespace", () => {
  assert.equal(
    outputOf("cat /proc/sys/net/ipv4/ip_forward", ({ linux }) => {
      linux.sysctl = { "net.ipv4.ip_forward": "1" };
    }),
    "1\n",
  );
  const inUser = outputOf("cat /proc/self/uid_map; echo x >/dev/null; id -u", ({ linux }) => {
    linux.namespaces = [...(linux.namespaces as object[]), { type: "user" }];
    linux.uidMappings = [{ containerID: 0, hostID: 100000, size: 1000 }];
    linux.gidMappings = [{ containerID: 0, hostID: 100000, size: 1000 }];
  });
  assert.match(inUser, /^\s+0\s+100000\s+1000\n0\n$/);
  using other = new TestBundle(["sleep", "1000"]);
  other.start();
  const joined = outputOf("ps", ({ linux }) => {
    linux.namespaces = [{ type: "mount" }, { type: "uts" }, { type: "pid", path: `/proc/${other.pid}/ns/pid` }];
  });
  assert.match(joined, / sleep 1000/);
});

test("a link in the image leads no mount, device or directory out of the root (CVE-2021-30465, CVE-2026-41579, CVE-2024-45310)", () => {
  using bundle = new TestBundle(["true"]);
  const outside = join(bundle.directory, "outside");
  mkdirSync(outside);
  symlinkSync(outside, join(bundle.rootfs, "way"));
  rmSync(join(bundle.rootfs, "dev"), { recursive: true });
  symlinkSync(outside, join(bundle.rootfs, "dev"));
  bundle.configure(["true"], (config) => {
    config.root = { path: "rootfs", readonly: false };
    config.mounts = [
      { destination: "/way/deep/er", type: "tmpfs" },
      { destination: "/proc", type: "proc" },
    ];
  });
  bundle.runc("run", bundle.id);
  assert.deepEqual(readdirSync(outside), []);
});

test("/proc and /sys that are links are refused (CVE-2019-19921, CVE-2023-27561)", () => {
  using bundle = new TestBundle(["true"]);
  rmSync(join(bundle.rootfs, "proc"), { recursive: true });
  symlinkSync("/tmp", join(bundle.rootfs, "proc"));
  const { code, stderr } = bundle.runc("run", bundle.id);
  assert.equal(code, 1);
  assert.match(stderr, /must be mounted on ordinary directory|ordinary directory/);
});

test("nothing but lxcfs' files may cover a part of /proc, whatever link leads there (CVE-2019-16884)", () => {
  using bundle = new TestBundle(["true"]);
  symlinkSync("/proc/self", join(bundle.rootfs, "innocent"));
  for (const destination of ["/proc/self/attr", "/innocent/attr", "/proc/sys"]) {
    bundle.configure(["true"], (config) => {
      config.mounts.push({ destination, type: "tmpfs", source: "tmpfs" });
    });
    assert.equal(bundle.runc("run", bundle.id).code, 1, destination);
  }
  writeFileSync(join(bundle.directory, "uptime"), "1.0 1.0\n");
  bundle.configure(["cat", "/proc/uptime"], (config) => {
    config.mounts.push({
      destination: "/proc/uptime",
      type: "bind",
      source: join(bundle.directory, "uptime"),
      options: ["bind"],
    });
  });
  assert.equal(bundle.runc("run", bundle.id).stdout, "1.0 1.0\n");
});

test("no working directory leads to the host through a descriptor (CVE-2024-21626)", () => {
  using bundle = new TestBundle(["pwd"]);
  for (let fd = 3; fd < 16; fd++) {
    bundle.configure(["sh", "-c", "ls ../../../../work ../../../../root/.. 2>/dev/null; pwd"], ({ process }) => {
      process.cwd = `/proc/self/fd/${fd}`;
    });
    const { code } = bundle.runc("run", bundle.id);
    assert.notEqual(code, 0, `descriptor ${fd}`);
  }
});

test("a program that is the runtime itself can't be written to (CVE-2019-5736)", () => {
  const digest = (): string => createHash("sha256").update(readFileSync(keelPath())).digest("hex");
  const before = digest();
  using bundle = new TestBundle(["/evil"]);
  writeFileSync(join(bundle.rootfs, "evil"), "#!/proc/self/exe\n", { mode: 0o755 });
  bundle.runc("run", bundle.id);
  assert.equal(digest(), before);
});

test("a masked file is covered by the real null device only (CVE-2025-31133)", () => {
  using bundle = new TestBundle(["true"]);
  const target = join(bundle.directory, "target");
  writeFileSync(target, "host\n");
  symlinkSync(target, join(bundle.rootfs, "dev/null"));
  bundle.configure(["sh", "-c", "echo changed >/proc/keys"], (config) => {
    config.root = { path: "rootfs", readonly: false };
    config.mounts = [{ destination: "/proc", type: "proc" }];
  });
  assert.notEqual(bundle.runc("run", bundle.id).code, 0);
  assert.equal(readFileSync(target, "utf8"), "host\n");
});

test("a terminal of the container's own, as large as ours, which is the console too", () => {
  using bundle = new TestBundle(["sh", "-c", "tty; stty size; stat -c %F /dev/console"], ({ process }) => {
    process.terminal = true;
  });
  const [file, words] = bundle.command(["run", bundle.id]);
  const inner = `stty rows 33 cols 77; ${[file, ...words].join(" ")}`;
  const { stdout } = spawnSync("script", ["-qec", inner, "/dev/null"], {
    cwd: bundle.bundle,
    encoding: "utf8",
    input: "",
  });
  assert.match(stdout, /\/dev\/pts\/0\r\n33 77\r\ncharacter special file/);
  assert.match(
    bundle.runc("create", bundle.id).stderr,
    /cannot allocate tty if runc will detach without setting console socket/,
  );
});
