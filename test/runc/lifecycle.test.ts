import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { cgroupsNamed, mountsBelow, removeSharedCgroups, TestBundle, until } from "./bundle.ts";

after(removeSharedCgroups);

function leavesNothing(bundle: TestBundle): void {
  assert.deepEqual(cgroupsNamed(bundle.id), []);
  assert.deepEqual(mountsBelow(bundle.directory), []);
  assert.equal(existsSync(join(bundle.state, bundle.id)), false);
}

test("run passes the streams and the exit code, and leaves nothing", () => {
  using bundle = new TestBundle(["sh", "-c", "cat; echo err >&2; exit 7"]);
  const { code, stdout, stderr } = bundle.with({ input: "in\n" }, "run", bundle.id);
  assert.deepEqual([code, stdout, stderr], [7, "in\n", "err\n"]);
  leavesNothing(bundle);
});

test("create waits, start lets it run, state and list tell; delete removes", async () => {
  using bundle = new TestBundle(["sh", "-c", "echo started >/tmp/f; exec sleep 1000"], (config) => {
    config.root = { path: "rootfs", readonly: false };
  });
  const pidFile = join(bundle.directory, "pid");
  const [file, words] = bundle.command(["create", "--pid-file", pidFile, bundle.id]);
  const { spawnSync } = await import("node:child_process");
  assert.equal(spawnSync(file, words, { cwd: bundle.bundle, stdio: "ignore" }).status, 0);
  assert.equal(bundle.status, "created");
  assert.equal(Number(readFileSync(pidFile, "utf8")), bundle.pid);
  assert.equal(existsSync(join(bundle.rootfs, "tmp/f")), false);
  assert.equal(bundle.runc("start", bundle.id).code, 0);
  await until("it has started", () => existsSync(join(bundle.rootfs, "tmp/f")));
  assert.equal(bundle.status, "running");
  assert.match(bundle.runc("start", bundle.id).stderr, /cannot start an already running container/);
  const [listed] = JSON.parse(bundle.runc("list", "-f", "json").stdout);
  assert.deepEqual([listed.id, listed.status, listed.bundle], [bundle.id, "running", bundle.bundle]);
  assert.match(bundle.runc("list").stdout, new RegExp(`^ID +PID +STATUS +BUNDLE +CREATED +OWNER\\n${bundle.id} `));
  assert.equal(bundle.runc("list", "-q").stdout, `${bundle.id}\n`);
  assert.match(bundle.runc("delete", bundle.id).stderr, /is not stopped: running/);
  assert.equal(bundle.runc("kill", bundle.id, "KILL").code, 0);
  await until("it has ended", () => bundle.status === "stopped");
  assert.match(bundle.runc("kill", bundle.id).stderr, /container not running/);
  assert.equal(bundle.runc("delete", bundle.id).code, 0);
  assert.match(bundle.runc("state", bundle.id).stderr, /container does not exist/);
  assert.equal(bundle.runc("delete", "--force", bundle.id).code, 0);
  leavesNothing(bundle);
});

test("exec joins the container, keeps runc's words and codes", () => {
  using bundle = new TestBundle(["sleep", "1000"]);
  bundle.start();
  const { code, stdout } = bundle.runc(
    "exec",
    "--env",
    "A=b",
    "--cwd",
    "/tmp",
    bundle.id,
    "sh",
    "-c",
    "hostname; pwd; echo $A; id -u; cat /proc/1/comm; exit 9",
  );
  assert.deepEqual([code, stdout], [9, "runc\n/tmp\nb\n0\nsleep\n"]);
  const missing = bundle.runc("exec", bundle.id, "nope");
  assert.equal(missing.code, 255);
  assert.match(
    missing.stderr,
    /exec failed: unable to start container process: exec: \\"nope\\": executable file not found in \$PATH/,
  );
  assert.equal(
    bundle.runc("exec", "--user", "1000:44", bundle.id, "sh", "-c", "echo $(id -u):$(id -g)").stdout,
    "1000:44\n",
  );
  for (const user of [":5", "-1", "4294967296", "99999999999", "1:2:3"])
    assert.equal(bundle.runc("exec", `--user=${user}`, bundle.id, "true").code, 255, user);
  assert.match(bundle.runc("exec", bundle.id, "grep", "CapInh", "/proc/self/status").stdout, /0000000000000000/);
  writeFileSync(
    join(bundle.directory, "process.json"),
    JSON.stringify({ args: ["env"], env: ["PATH=/bin", "X=y"], cwd: "/" }),
  );
  assert.match(bundle.runc("exec", "--process", join(bundle.directory, "process.json"), bundle.id).stdout, /^X=y$/m);
});

test("pause stops every process, an exec is refused meanwhile, resume lets them go on", () => {
  using bundle = new TestBundle(["sleep", "1000"]);
  bundle.start();
  assert.equal(bundle.runc("pause", bundle.id).code, 0);
  assert.equal(bundle.status, "paused");
  assert.match(bundle.runc("exec", bundle.id, "true").stderr, /cannot exec in a paused container/);
  assert.equal(bundle.runc("resume", bundle.id).code, 0);
  assert.equal(bundle.status, "running");
  assert.match(bundle.runc("resume", bundle.id).stderr, /container not paused/);
  assert.equal(bundle.runc("pause", bundle.id).code, 0);
  assert.equal(bundle.runc("delete", "--force", bundle.id).code, 0);
  leavesNothing(bundle);
});

test("an exec in a paused container waits for its resume where that is asked for", async () => {
  using bundle = new TestBundle(["sleep", "1000"]);
  bundle.start();
  bundle.runc("pause", bundle.id);
  const waiting = bundle.spawn("exec", "--ignore-paused", bundle.id, "echo", "ran");
  let said = "";
  waiting.stdout.on("data", (chunk) => {
    said += chunk;
  });
  const ended = new Promise<number | null>((resolve) => waiting.on("close", resolve));
  bundle.runc("resume", bundle.id);
  assert.equal(await ended, 0);
  assert.equal(said, "ran\n");
});

test("an exec goes into a cgroup below the container's", () => {
  using bundle = new TestBundle(["sleep", "1000"]);
  bundle.start();
  const own = readFileSync(`/proc/${bundle.pid}/cgroup`, "utf8");
  for (const path of cgroupsNamed(bundle.id)) {
    mkdirSync(join(path, "sub"));
    // A new cpuset of v1 is empty, and takes no process until it is filled.
    for (const file of ["cpuset.cpus", "cpuset.mems"])
      if (existsSync(join(path, "tasks")) && existsSync(join(path, file)))
        writeFileSync(join(path, "sub", file), readFileSync(join(path, file)));
  }
  try {
    const ran = bundle.runc("exec", "--cgroup", "sub", bundle.id, "cat", "/proc/self/cgroup");
    assert.equal(ran.code, 0, ran.stderr);
    const inOwn = (text: string, end: string) => text.split("\n").filter((line) => line.endsWith(end)).length;
    assert.ok(inOwn(own, bundle.id) > 0, own);
    assert.equal(inOwn(ran.stdout, "/sub"), inOwn(own, bundle.id), ran.stdout);
  } finally {
    for (const path of cgroupsNamed(bundle.id)) rmdirSync(join(path, "sub"));
  }
  for (const [args, words] of [
    [["--cgroup", "a", "--cgroup", "b"], /missing <controller>: prefix/],
    [["--cgroup", "nope:sub"], /unknown controller nope/],
    [["--cgroup", "../.."], /bad sub cgroup path/],
    [["--cgroup", "absent"], /ENOENT|no such file/i],
  ] as const) {
    const refused = bundle.runc("exec", ...args, bundle.id, "true");
    assert.equal(refused.code, 255);
    assert.match(refused.stderr, words);
  }
});

test("descriptors that are to be preserved arrive as 3 and up, in run, create and exec", () => {
  using bundle = new TestBundle(["sh", "-c", "cat <&3; cat <&4; ls /proc/self/fd | wc -l"]);
  const [one, two] = [join(bundle.directory, "one"), join(bundle.directory, "two")];
  writeFileSync(one, "one\n");
  writeFileSync(two, "two\n");
  const given = (words: readonly string[]) => {
    const [file, args] = bundle.command(words);
    const stdio = ["ignore", "pipe", "pipe", openSync(one, "r"), openSync(two, "r")] as const;
    try {
      return spawnSync(file, args, { cwd: bundle.bundle, encoding: "utf8", stdio: [...stdio] });
    } finally {
      for (const fd of stdio.slice(3) as number[]) closeSync(fd);
    }
  };
  const ran = given(["run", "--preserve-fds", "2", bundle.id]);
  // 0 to 4, and the directory that ls reads.
  assert.deepEqual([ran.stdout, ran.status], ["one\ntwo\n6\n", 0], ran.stderr);
  const none = bundle.runc("run", "--preserve-fds", "2", bundle.id);
  assert.match(none.stderr, /unable to stat preserved-fd 0 \(of 2\)/);
  bundle.configure(["sleep", "1000"]);
  bundle.start();
  const exec = given(["exec", "--preserve-fds", "2", bundle.id, "sh", "-c", "cat <&3; cat <&4"]);
  assert.deepEqual([exec.stdout, exec.status], ["one\ntwo\n", 0], exec.stderr);
  const without = given(["exec", bundle.id, "sh", "-c", "ls /proc/self/fd | wc -l"]);
  assert.equal(without.stdout.trim(), "4");
});

const unsupported: readonly (readonly [string, unknown, RegExp])[] = [
  ["intelRdt", { closID: "x" }, /Intel RDT is not supported/],
  ["memoryPolicy", { mode: "MPOL_BIND" }, /memory policies are not supported/],
  ["netDevices", { eth9: {} }, /moving network devices is not supported/],
  ["mountLabel", "x:y:z", /selinux is disabled or not supported/],
];

test("what config.json and the command line ask for and is not there is refused, not left out", () => {
  using bundle = new TestBundle(["true"]);
  for (const [key, value, words] of unsupported) {
    bundle.configure(["true"], (config) => {
      config.linux[key] = value;
    });
    const ran = bundle.runc("run", bundle.id);
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, words);
  }
  bundle.configure(["true"]);
  assert.match(bundle.runc("run", "--pidfd-socket", "/x", bundle.id).stderr, /--pidfd-socket is not supported/);
  assert.match(
    bundle.runc("--systemd-cgroup", "run", bundle.id).stderr,
    /systemd cgroup flag passed, but systemd support/,
  );
  assert.deepEqual(cgroupsNamed(bundle.id), []);
});

test("limits are set at creation, changed by update, and shown by events", () => {
  using bundle = new TestBundle(["sleep", "1000"], ({ linux }) => {
    linux.resources = {
      memory: { limit: 32 * 1024 * 1024 },
      pids: { limit: 20 },
      cpu: { shares: 512, quota: 50_000, period: 100_000 },
    };
  });
  bundle.start();
  const stats = () => JSON.parse(bundle.runc("events", "--stats", bundle.id).stdout).data;
  assert.deepEqual([stats().memory.usage.limit, stats().pids.limit, stats().pids.current], [33554432, 20, 1]);
  assert.equal(bundle.runc("update", "--memory", "64m", "--pids-limit", "30", bundle.id).code, 0);
  assert.deepEqual([stats().memory.usage.limit, stats().pids.limit], [67108864, 30]);
  const piped = bundle.with(
    { input: JSON.stringify({ pids: { limit: 40 } }) },
    "update",
    "--resources",
    "-",
    bundle.id,
  );
  assert.equal(piped.code, 0);
  assert.equal(stats().pids.limit, 40);
  assert.deepEqual(JSON.parse(bundle.runc("ps", "-f", "json", bundle.id).stdout), [bundle.pid]);
  assert.match(bundle.runc("ps", bundle.id).stdout, /sleep 1000/);
});

test("a container that needs more memory than it may have is killed", () => {
  using bundle = new TestBundle(["sh", "-c", "a=x; while :; do a=$a$a; done"], ({ linux }) => {
    linux.resources = { memory: { limit: 8 * 1024 * 1024, swap: 8 * 1024 * 1024 } };
  });
  assert.equal(bundle.runc("run", bundle.id).code, 137);
});

test("a foreground run passes signals on", async () => {
  using bundle = new TestBundle(["sh", "-c", "trap 'echo got; exit 3' TERM; echo ready; while :; do sleep 0.05; done"]);
  const child = bundle.spawn("run", bundle.id);
  let output = "";
  child.stdout.on("data", (chunk) => {
    output += chunk;
  });
  await until("it is ready", () => output.includes("ready"));
  child.kill("SIGTERM");
  const [code] = await once(child, "exit");
  assert.equal(code, 3);
  assert.match(output, /got/);
  leavesNothing(bundle);
});

test("hooks run in their order, with the state on stdin; one that fails undoes the container", () => {
  const state = (name: string, log: string) => ({
    path: "/bin/sh",
    args: ["sh", "-c", `echo "${name} $(cat)" >>${log}`],
    env: ["PATH=/bin"],
  });
  using bundle = new TestBundle(["sh", "-c", "echo program >>/tmp/log"], (config) => {
    config.root = { path: "rootfs", readonly: false };
  });
  const log = join(bundle.rootfs, "tmp/log");
  bundle.configure(["sh", "-c", "echo program >>/tmp/log"], (config) => {
    config.root = { path: "rootfs", readonly: false };
    config.hooks = {
      prestart: [state("prestart", log)],
      createRuntime: [state("createRuntime", log)],
      createContainer: [state("createContainer", log)],
      startContainer: [state("startContainer", "/tmp/log")],
      poststart: [{ path: "/bin/true" }],
      poststop: [state("poststop", log)],
    };
  });
  assert.equal(bundle.runc("run", bundle.id).code, 0);
  const lines = readFileSync(log, "utf8").trim().split("\n");
  assert.deepEqual(
    lines.map((line) => line.split(" ")[0]),
    ["prestart", "createRuntime", "createContainer", "startContainer", "program", "poststop"],
  );
  const first = JSON.parse(lines[0]!.slice("prestart ".length));
  assert.deepEqual(
    [first.id, first.status, first.bundle, typeof first.pid],
    [bundle.id, "creating", bundle.bundle, "number"],
  );
  bundle.configure(["true"], (config) => {
    config.hooks = { createRuntime: [{ path: "/bin/sh", args: ["sh", "-c", "echo broken >&2; exit 4"] }] };
  });
  const failed = bundle.runc("run", bundle.id);
  assert.equal(failed.code, 1);
  assert.match(failed.stderr, /hook.*broken.*hooks\/createRuntime\/0/);
  leavesNothing(bundle);
});

test("the log is JSON lines where that is asked for, and the error is on stderr as well", () => {
  using bundle = new TestBundle(["nope"]);
  const log = join(bundle.directory, "log.json");
  const { code, stderr } = bundle.runc("--log", log, "--log-format", "json", "create", bundle.id);
  const expected =
    'runc create failed: unable to start container process: exec: "nope": executable file not found in $PATH';
  const line = JSON.parse(readFileSync(log, "utf8").trim());
  assert.deepEqual([code, stderr, line.level, line.msg], [1, `${expected}\n`, "error", expected]);
  leavesNothing(bundle);
});

test("what is wrong is said, and nothing is left of it", () => {
  using bundle = new TestBundle(["sleep", "1000"]);
  bundle.start();
  const says = (words: RegExp, ...args: readonly string[]): void => {
    const { code, stderr } = bundle.runc(...args);
    assert.notEqual(code, 0, args.join(" "));
    assert.match(stderr, words);
  };
  says(/container with given ID already exists/, "run", bundle.id);
  assert.equal(bundle.status, "running");
  says(/invalid container ID format/, "run", "a/b");
  says(/invalid container ID format/, "state", "..");
  says(/container does not exist/, "state", "nobody");
  says(/config.json not found/, "run", "--bundle", bundle.directory, "x");
  says(/flag provided but not defined: -wrong/, "run", "--wrong", "x");
  says(/requires exactly 1 argument/, "run");
  says(/No help topic for 'dance'/, "dance");
  says(/unknown signal/, "kill", bundle.id, "SIGNOPE");
  says(/invalid log-format/, "--log-format", "xml", "list");
  says(/process args cannot be empty/, "exec", bundle.id);
  writeFileSync(join(bundle.bundle, "config.json"), "{ not json");
  says(/config.json is no JSON/, "run", "y");
  says(/File config.json exists/, "spec");
});

test("spec writes a bundle's example, features and version answer", () => {
  using bundle = new TestBundle(["true"]);
  const target = join(bundle.directory, "bundle/rootfs/tmp");
  assert.equal(bundle.runc("spec", "--bundle", target).code, 0);
  assert.equal(JSON.parse(readFileSync(join(target, "config.json"), "utf8")).process.args[0], "sh");
  assert.equal(JSON.parse(bundle.runc("features").stdout).linux.seccomp.enabled, true);
  assert.match(bundle.runc("--version").stdout, /^hull-runc version .*\nspec: /);
});
