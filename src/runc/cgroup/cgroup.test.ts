import assert from "node:assert/strict";
import { test } from "node:test";
import type { Operation } from "../../keel/plan.ts";
import { parseResources } from "../../oci/runtime-spec-linux.ts";
import { HullError } from "../../platform/errors.ts";
import type { HostFacts } from "../host-facts.ts";
import { deviceProgram } from "./device-program.ts";
import { deviceOperations, resolveRules } from "./device-rules.ts";
import { parseCgroupHost } from "./host.ts";
import { weightOfShares } from "./limits-v2.ts";
import { enterCgroups, makeCgroups } from "./make.ts";
import { cgroupPlace } from "./place.ts";
import { updateResources } from "./resources.ts";

const mountsV1 = `30 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
32 30 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset
33 30 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
34 30 0:33 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices
35 30 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
36 30 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd`;
const unifiedMount = "37 30 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
const membershipV1 = "6:name=systemd:/\n5:pids:/\n4:devices:/\n3:memory:/job/7\n2:cpuset:/\n1:cpu,cpuacct:/";

function facts(mountinfo: string, membership: string, files: Readonly<Record<string, string>> = {}): HostFacts {
  const readText = (path: string): string | undefined => files[path];
  const cgroups = parseCgroupHost({ mountinfo, membership, readText });
  return { arch: "amd64", kernel: [6, 1], capabilities: (1n << 41n) - 1n, cgroups, readText };
}

const v1 = facts(mountsV1, membershipV1, {
  "/sys/fs/cgroup/cpuset/cpuset.cpus": "0-3",
  "/sys/fs/cgroup/cpuset/cpuset.mems": "0",
  "/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes": "9223372036854771712",
});
const hybrid = facts(`${mountsV1}\n${unifiedMount}`, `${membershipV1}\n0::/`);
const v2 = facts("31 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw", "0::/init.scope", {
  "/sys/fs/cgroup/cgroup.controllers": "cpu memory pids",
  "/sys/fs/cgroup/cgroup.subtree_control": "cpu",
});

/** "file=data" of each write, the rest by name. */
const written = (operations: readonly Operation[]): string[] =>
  operations.map(({ name, record }) => {
    const [path, data] = record.blobs ?? [];
    if (name === "writeFile") return `${path}=${data}`;
    return name === "writeSlot" ? `+ ${path}` : `${name} ${path}`;
  });

const limits = (host: HostFacts, resources: object, warnings: string[] = []): string[] => {
  const place = cgroupPlace(host.cgroups, "/hull/a", "a");
  const request = { facts: host, place, warnings, document: "resources" };
  return written(updateResources(request, parseResources(JSON.stringify(resources))));
};

test("the host's hierarchies are found in v1, hybrid and v2 form", () => {
  assert.equal(v1.cgroups.mode, "v1");
  assert.equal(hybrid.cgroups.mode, "hybrid");
  assert.deepEqual(v2.cgroups, {
    mode: "v2",
    v1: [],
    unified: { mountPoint: "/sys/fs/cgroup", own: "/init.scope", controllers: ["cpu", "memory", "pids"] },
  });
  assert.equal(facts("", "").cgroups.mode, "none");
});

test("an absolute path is below the mounts, a relative one below our own cgroup, none leads out", () => {
  const { paths, memory, oomVersion } = cgroupPlace(hybrid.cgroups, "/hull/a", "a");
  assert.equal(paths.cpu, "/sys/fs/cgroup/cpu,cpuacct/hull/a");
  assert.equal(paths.cpuacct, paths.cpu);
  assert.equal(paths[""], "/sys/fs/cgroup/unified/hull/a");
  assert.deepEqual([memory, oomVersion], ["/sys/fs/cgroup/memory/hull/a", 1]);
  assert.equal(cgroupPlace(v1.cgroups, "", "a").paths.memory, "/sys/fs/cgroup/memory/job/7/a");
  assert.equal(cgroupPlace(v1.cgroups, "../../../etc", "a").paths.pids, "/sys/fs/cgroup/pids/etc");
  assert.equal(cgroupPlace(v1.cgroups, "/../../etc", "a").paths.pids, "/sys/fs/cgroup/pids/etc");
  assert.equal(cgroupPlace(v2.cgroups, "my.slice:hull:a", "a").paths[""], "/sys/fs/cgroup/my.slice/hull-a.scope");
  assert.equal(cgroupPlace(v2.cgroups, "/a", "a").oomVersion, 2);
});

test("new v1 cpusets get what their parents have, at every level", () => {
  const made = written(makeCgroups(v1, cgroupPlace(v1.cgroups, "/hull/a", "a")));
  assert.deepEqual(made.slice(-4), [
    "/sys/fs/cgroup/cpuset/hull/cpuset.cpus=0-3",
    "/sys/fs/cgroup/cpuset/hull/a/cpuset.cpus=0-3",
    "/sys/fs/cgroup/cpuset/hull/cpuset.mems=0",
    "/sys/fs/cgroup/cpuset/hull/a/cpuset.mems=0",
  ]);
  assert.equal(made.filter((one) => one === "mkdirAll /sys/fs/cgroup/cpu,cpuacct/hull/a").length, 1);
});

test("v2 controllers that are missing are handed down one by one", () => {
  const made = written(makeCgroups(v2, cgroupPlace(v2.cgroups, "/hull/a", "a")));
  assert.deepEqual(made.slice(0, 3), [
    "mkdirAll /sys/fs/cgroup/hull/a",
    "/sys/fs/cgroup/cgroup.subtree_control=+memory",
    "/sys/fs/cgroup/cgroup.subtree_control=+pids",
  ]);
});

test("a process enters v1 cgroups itself and the unified tree by clone", () => {
  const entry = enterCgroups(cgroupPlace(hybrid.cgroups, "/a", "a"), { slot: 16, handles: false });
  assert.deepEqual(written(entry.before), ["open /sys/fs/cgroup/unified/a"]);
  assert.equal(entry.slot, 16);
  assert.equal(entry.after.length, 6);
  assert.ok(written(entry.after).includes("/sys/fs/cgroup/memory/a/tasks=0"));
  const early = enterCgroups(cgroupPlace(hybrid.cgroups, "/a", "a"), { slot: 16, handles: true });
  assert.deepEqual([early.before.length, early.after.length], [7, 6]);
});

test("v1 limits: the period before the quota, memory and swap in the order that the kernel takes", () => {
  assert.deepEqual(limits(v1, { cpu: { shares: 512, quota: 50_000, period: 100_000, cpus: "0-1" } }), [
    "/sys/fs/cgroup/cpuset/hull/a/cpuset.cpus=0-1",
    "/sys/fs/cgroup/cpu,cpuacct/hull/a/cpu.shares=512",
    "/sys/fs/cgroup/cpu,cpuacct/hull/a/cpu.cfs_period_us=100000",
    "/sys/fs/cgroup/cpu,cpuacct/hull/a/cpu.cfs_quota_us=50000",
  ]);
  const at = "/sys/fs/cgroup/memory/hull/a/memory";
  const down = [`${at}.limit_in_bytes=1000`, `${at}.memsw.limit_in_bytes=2000`];
  assert.deepEqual(limits(v1, { memory: { limit: 1000, swap: 2000 } }), down);
  const raised = facts(mountsV1, membershipV1, {
    "/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes": "1",
    [`${at}.limit_in_bytes`]: "500",
  });
  assert.deepEqual(limits(raised, { memory: { limit: 1000, swap: 2000 } }), [...down].reverse());
  assert.deepEqual(limits(v1, { pids: { limit: -1 } }), ["/sys/fs/cgroup/pids/hull/a/pids.max=max"]);
});

test("a kernel without swap accounting limits memory alone and says so", () => {
  const warnings: string[] = [];
  assert.deepEqual(limits(hybrid, { memory: { limit: 1000, swap: 2000 } }, warnings), [
    "/sys/fs/cgroup/memory/hull/a/memory.limit_in_bytes=1000",
  ]);
  assert.equal(warnings.length, 1);
});

test("a limit without its controller is an error that names both", () => {
  const refused = (run: () => unknown): string => {
    try {
      run();
    } catch (error) {
      assert.ok(error instanceof HullError && error.code === "failed-precondition");
      return error.message;
    }
    return assert.fail("it was accepted");
  };
  assert.match(
    refused(() => limits(v1, { blockIO: { weight: 300 } })),
    /resources\/blockIO\/weight.*no blkio/,
  );
  assert.match(
    refused(() => limits(v1, { unified: { "memory.high": "1" } })),
    /not unified/,
  );
});

test("v2 limits: shares become a weight, swap loses the memory in it", () => {
  const resources = {
    cpu: { shares: 1024, quota: 50_000 },
    memory: { limit: 1000, swap: 3000, reservation: 500 },
    pids: { limit: 7 },
  };
  assert.deepEqual(
    limits(v2, resources).map((one) => one.replace("/sys/fs/cgroup/hull/a/", "")),
    [
      "cpu.weight=100",
      "cpu.max=50000 100000",
      "memory.swap.max=2000",
      "memory.max=1000",
      "memory.low=500",
      "pids.max=7",
    ],
  );
  assert.deepEqual([2, 1024, 262_144].map(weightOfShares), [1, 100, 10_000]);
  assert.throws(() => limits(v2, { memory: { swap: 10 } }), /needs a memory limit/);
  assert.throws(() => limits(v2, { unified: { "../cgroup.procs": "1" } }), /is a path/);
  assert.deepEqual(limits(v2, { unified: { "memory.high": "5" } }), ["/sys/fs/cgroup/hull/a/memory.high=5"]);
});

const rule = (allow: boolean, type: "a" | "b" | "c", [major, minor]: [number, number], access: string) => ({
  allow,
  type,
  major,
  minor,
  access,
});

test("device rules come to a default and its exceptions", () => {
  const list = [
    rule(false, "a", [-1, -1], "rwm"),
    rule(true, "c", [1, 3], "rwm"),
    rule(true, "c", [10, 200], "r"),
    rule(true, "c", [10, 200], "w"),
    rule(false, "c", [1, 3], "m"),
    rule(false, "b", [8, 0], "rwm"),
  ];
  assert.deepEqual(resolveRules(list), {
    defaultAllow: false,
    exceptions: [rule(true, "c", [1, 3], "rw"), rule(true, "c", [10, 200], "rw")],
  });
  const open = resolveRules([rule(true, "a", [-1, -1], "rwm"), rule(false, "b", [8, 0], "w")]);
  assert.deepEqual(open, { defaultAllow: true, exceptions: [rule(false, "b", [8, 0], "w")] });
});

test("v1 devices: everything is denied, then what may be used is written to one open file", () => {
  const place = cgroupPlace(v1.cgroups, "/a", "a");
  const made = written(
    deviceOperations({ place, at: "devices" }, [
      { allow: false, type: "a", major: undefined, minor: undefined, access: "rwm" },
    ]),
  );
  assert.equal(made[0], "/sys/fs/cgroup/devices/a/devices.deny=a");
  assert.equal(made[1], "open /sys/fs/cgroup/devices/a/devices.allow");
  assert.ok(made.includes("+ c 1:3 rwm") && made.includes("+ c *:* m"));
});

/** Runs the few instructions of a device program. */
function decide(program: Buffer, [type, access, major, minor]: readonly number[]): number {
  const context = [(access! << 16) | type!, major!, minor!];
  const registers = new Array<number>(11).fill(0);
  for (let at = 0; ; at++) {
    const code = program.readUInt8(at * 8);
    const to = program.readUInt8(at * 8 + 1) & 15;
    const from = program.readUInt8(at * 8 + 1) >> 4;
    const [offset, value] = [program.readInt16LE(at * 8 + 2), program.readInt32LE(at * 8 + 4)];
    if (code === 0x95) return registers[0]!;
    if (code === 0x61) registers[to] = context[offset / 4]!;
    else if (code === 0xbc) registers[to] = registers[from]!;
    else if (code === 0xb7) registers[to] = value;
    else if (code === 0x74) registers[to] = registers[to]! >>> value;
    else if (code === 0x54) registers[to] = (registers[to]! & value) >>> 0;
    else if (code === 0x56) at += registers[to] !== value >>> 0 ? offset : 0;
    else if (code === 0x16) at += registers[to] === value >>> 0 ? offset : 0;
    else assert.fail(`opcode ${code}`);
  }
}

test("the v2 device program decides as the rules do", () => {
  const [BLOCK, CHAR] = [1, 2];
  const [MKNOD, READ, WRITE] = [1, 2, 4];
  const closed = deviceProgram(
    resolveRules([rule(true, "c", [1, 3], "rw"), rule(true, "c", [136, -1], "rwm"), rule(true, "b", [-1, -1], "m")]),
  );
  assert.equal(decide(closed, [CHAR, READ | WRITE, 1, 3]), 1);
  assert.equal(decide(closed, [CHAR, READ | MKNOD, 1, 3]), 0);
  assert.equal(decide(closed, [CHAR, READ, 1, 4]), 0);
  assert.equal(decide(closed, [BLOCK, READ, 1, 3]), 0);
  assert.equal(decide(closed, [BLOCK, MKNOD, 9, 9]), 1);
  assert.equal(decide(closed, [CHAR, READ | WRITE | MKNOD, 136, 77]), 1);
  const open = deviceProgram(resolveRules([rule(true, "a", [-1, -1], "rwm"), rule(false, "b", [8, 0], "w")]));
  assert.equal(decide(open, [BLOCK, READ, 8, 0]), 1);
  assert.equal(decide(open, [BLOCK, READ | WRITE, 8, 0]), 0);
  assert.equal(decide(open, [CHAR, WRITE, 8, 0]), 1);
});
