import assert from "node:assert/strict";
import { test } from "node:test";
import { type Operation, operation } from "../../keel/plan.ts";
import { parseProcess, parseRuntimeSpec } from "../../oci/runtime-spec.ts";
import { HullError } from "../../platform/errors.ts";
import { parseCgroupHost } from "../cgroup/host.ts";
import { cgroupPlace } from "../cgroup/place.ts";
import { exampleSpec } from "../cli/commands/spec.ts";
import type { HostFacts } from "../host-facts.ts";
import {
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWUTS,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_RDONLY,
  MOUNT_ATTR_STRICTATIME,
  MS_PRIVATE,
  MS_SHARED,
} from "../kernel-constants.ts";
import { compileContainer } from "./container.ts";
import { compileExec } from "./exec.ts";
import { parseMountOptions } from "./mount-options.ts";
import { sysctlPath } from "./namespaces.ts";

const readText = (): undefined => undefined;
const mountinfo =
  "33 30 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n37 30 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
const facts: HostFacts = {
  arch: "amd64",
  kernel: [6, 1],
  capabilities: (1n << 41n) - 1n,
  cgroups: parseCgroupHost({ mountinfo, membership: "1:memory:/\n0::/", readText }),
  readText,
};
const wait = [operation("waitStart", {}, { cause: "start" })];

type Loose = Record<string, unknown>;

function compile(
  change: (spec: { process: Loose; linux: Loose } & Loose) => void = () => undefined,
  inherited: readonly string[] = [],
) {
  const spec = structuredClone(exampleSpec()) as { process: Loose; linux: Loose } & Loose;
  change(spec);
  const request = {
    facts,
    spec: parseRuntimeSpec(JSON.stringify(spec)),
    id: "c",
    bundle: "/b",
    inherited: new Set(inherited),
    wait,
  };
  return compileContainer(request);
}

const names = (list: readonly Operation[]): string[] => list.map(({ name }) => name);
const find = (list: readonly Operation[], name: string): Operation =>
  list.find((one) => one.name === name) ?? assert.fail(`no ${name}`);

function refusal(run: () => unknown): HullError {
  try {
    run();
  } catch (error) {
    if (error instanceof HullError) return error;
    throw error;
  }
  return assert.fail("it was accepted");
}

test("the stage of the example: what it opens, the new process, its root, its privileges, its program", () => {
  const collapsed = names(compile().stage).filter((name, i, all) => name !== all[i - 1]);
  assert.deepEqual(collapsed, [
    "open",
    "clone",
    "writeFile",
    "unshare",
    "linkUp",
    "propagation",
    "openTree",
    "mountSetattr",
    "moveMount",
    ...Array.from({ length: 6 }, () => ["fsmount", "moveMountIn"]).flat(),
    "fsmount",
    "moveMountIn",
    "fsmount",
    "moveMountIn",
    "mknodIn",
    "symlinkIn",
    "openTreeIn",
    "mountSetattr",
    "pivotRoot",
    "console",
    "sethostname",
    "readonlyRoot",
    "readonlyPaths",
    "maskPaths",
    "keyring",
    "closeRange",
    "cwd",
    "rlimit",
    "noNewPrivileges",
    "setUser",
    "capabilities",
    "lookPath",
    "waitStart",
    "execve",
  ]);
});

test("clone makes what has no path and is not inherited; the cgroup namespace comes once the process is in its cgroup", () => {
  const flags = (inherited: readonly string[] = []): unknown =>
    find(compile(undefined, inherited).stage, "clone").record.ints![0];
  assert.equal(flags(), CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET);
  assert.equal(flags(["network", "uts"]), CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC);
  const { stage } = compile((spec) => {
    spec.linux.namespaces = [
      { type: "mount" },
      { type: "network", path: "/run/netns/x" },
      { type: "user", path: "/proc/7/ns/user" },
      { type: "pid", path: "/proc/7/ns/pid" },
    ];
    delete spec.hostname;
  });
  const joins = stage.filter(({ name }) => name === "setns").map(({ subject }) => subject);
  assert.deepEqual(joins, ["network /run/netns/x", "pid /proc/7/ns/pid", "user /proc/7/ns/user"]);
  assert.equal(names(stage).lastIndexOf("setns") < names(stage).indexOf("clone"), true);
});

test("seccomp is loaded before the user changes, and last with no_new_privs", () => {
  const order = (noNewPrivileges: boolean): string[] => {
    const { stage } = compile((spec) => {
      spec.process.noNewPrivileges = noNewPrivileges;
      spec.linux.seccomp = { defaultAction: "SCMP_ACT_ALLOW" };
    });
    return names(stage).filter((name) => ["seccomp", "setUser", "waitStart", "execve"].includes(name));
  };
  assert.deepEqual(order(true), ["setUser", "waitStart", "seccomp", "execve"]);
  assert.deepEqual(order(false), ["seccomp", "setUser", "waitStart", "execve"]);
});

test("every operation of a stage says which part of config.json it exists for", () => {
  const { host, stage } = compile();
  assert.deepEqual(
    [...host, ...stage].filter(({ cause }) => cause === ""),
    [],
  );
  assert.equal(
    stage.find(({ name, subject }) => name === "fsmount" && subject === "proc on /proc")?.cause,
    "config.json /mounts/0",
  );
});

test("hooks run where they belong, a process by name is looked up inside", () => {
  const { stage } = compile((spec) => {
    spec.hooks = {
      createRuntime: [{ path: "/h/a" }],
      createContainer: [{ path: "/h/b" }],
      startContainer: [{ path: "/h/c", timeout: 3 }],
    };
    spec.process.user = { username: "app:web", additionalGroups: ["video"], additionalGids: [7] };
  });
  const order = names(stage).filter((name) => ["hook", "pivotRoot", "waitStart"].includes(name));
  assert.deepEqual(order, ["hook", "hook", "pivotRoot", "waitStart", "hook"]);
  assert.deepEqual(
    stage.filter(({ name }) => name === "hook").map(({ record }) => record.ints),
    [
      [0, 1],
      [0, 0],
      [3000, 0],
    ],
  );
  assert.deepEqual(find(stage, "setUserByName").record.blobs, ["app:web", "video\u00007\0"]);
});

test("what config.json asks for and can't have is refused with its place", () => {
  const cases: readonly (readonly [(spec: { process: Loose; linux: Loose } & Loose) => void, RegExp])[] = [
    [
      (spec) => {
        spec.process.args = [];
      },
      /\/process\/args: is empty/,
    ],
    [
      (spec) => {
        spec.process.cwd = "rel";
      },
      /\/process\/cwd: "rel" is not an absolute path/,
    ],
    [
      (spec) => {
        spec.process.user = { uid: -1 };
      },
      /\/process\/user\/uid/,
    ],
    [
      (spec) => {
        spec.process.user = { uid: 4294967296 };
      },
      /\/process\/user\/uid/,
    ],
    [
      (spec) => {
        spec.process.rlimits = [{ type: "RLIMIT_X", soft: 1, hard: 1 }];
      },
      /wrong rlimit value: RLIMIT_X/,
    ],
    [
      (spec) => {
        spec.process.rlimits = [{ type: "RLIMIT_CORE", soft: 2, hard: 1 }];
      },
      /exceeds the hard limit/,
    ],
    [
      (spec) => {
        spec.linux.namespaces = [{ type: "mount" }];
      },
      /\/hostname: unable to set hostname without a private UTS namespace/,
    ],
    [
      (spec) => {
        spec.linux.namespaces = [{ type: "pid" }, { type: "pid" }];
      },
      /named twice/,
    ],
    [
      (spec) => {
        spec.linux.namespaces = [{ type: "moon" }];
      },
      /\/linux\/namespaces\/0\/type/,
    ],
    [
      (spec) => {
        spec.linux.sysctl = { "kernel.panic": "1" };
      },
      /sysctl "kernel.panic" is not in a separate kernel namespace/,
    ],
    [
      (spec) => {
        spec.linux.namespaces = (spec.linux.namespaces as { type: string }[]).filter(({ type }) => type !== "network");
        spec.linux.sysctl = { "net.ipv4.ip_forward": "1" };
      },
      /sysctl "net.ipv4.ip_forward" not allowed in host network namespace/,
    ],
    [
      (spec) => {
        spec.linux.sysctl = { "net.../../x": "1" };
      },
      /is no name of a sysctl/,
    ],
    [
      (spec) => {
        spec.linux.uidMappings = [{ containerID: 0, hostID: 1, size: 1 }];
      },
      /user namespace isn't enabled/,
    ],
    [
      (spec) => {
        spec.mounts = [{ destination: "/proc", type: "tmpfs" }];
      },
      /\/mounts\/0: "tmpfs" cannot be mounted on \/proc/,
    ],
    [
      (spec) => {
        spec.mounts = [{ destination: "/proc", type: "bind", source: "/tmp", options: ["bind"] }];
      },
      /inside \/proc/,
    ],
    [
      (spec) => {
        spec.mounts = [{ destination: "/a", type: "bind", options: ["bind"] }];
      },
      /\/mounts\/0\/source: is empty/,
    ],
    [
      (spec) => {
        spec.mounts = [{ destination: 5 }];
      },
      /\/mounts\/0\/destination: is not a string/,
    ],
    [
      (spec) => {
        spec.ociVersion = "2.0.0";
      },
      /\/ociVersion/,
    ],
    [
      (spec) => {
        delete (spec as Loose).root;
      },
      /\/root: is missing/,
    ],
    [
      (spec) => {
        spec.process.args = ["a\0b"];
      },
      /\/process\/args\/0: contains a NUL/,
    ],
    [
      (spec) => {
        spec.process.apparmorProfile = "x";
      },
      /AppArmor is not enabled/,
    ],
  ];
  for (const [change, words] of cases) assert.match(refusal(() => compile(change)).message, words);
  assert.match(refusal(() => parseRuntimeSpec("{")).message, /config.json is no JSON/);
});

test("what the host lacks is left out with a warning instead of failing", () => {
  const noResource: HostFacts = { ...facts, capabilities: facts.capabilities & ~(1n << 24n) };
  const spec = structuredClone(exampleSpec()) as { process: Loose };
  spec.process.capabilities = { bounding: ["CAP_SYS_RESOURCE", "CAP_FUTURE", "CAP_KILL"] };
  spec.process.oomScoreAdj = -500;
  const { stage, warnings } = compileContainer({
    facts: noResource,
    spec: parseRuntimeSpec(JSON.stringify(spec)),
    id: "c",
    bundle: "/b",
    inherited: new Set(),
    wait,
  });
  assert.equal(find(stage, "rlimit").record.ints![3], 1);
  assert.notEqual(find(stage, "oomScoreAdj").record.flags, 0);
  assert.match(warnings.join(" "), /CAP_FUTURE.*CAP_SYS_RESOURCE|CAP_SYS_RESOURCE.*CAP_FUTURE/s);
});

test("mount options: later ones win, access time is one field, r* reach below, the rest is data", () => {
  const options = parseMountOptions([
    "ro",
    "rw",
    "nosuid",
    "strictatime",
    "rro",
    "rprivate",
    "shared",
    "size=64k",
    "mode=755",
    "sync",
    "rbind",
  ]);
  assert.equal(options.attributes.set, MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME);
  assert.equal(options.attributes.clear & MOUNT_ATTR_RDONLY, MOUNT_ATTR_RDONLY);
  assert.equal(options.recursive.set, MOUNT_ATTR_RDONLY);
  assert.deepEqual(options.propagation, [
    { kind: MS_PRIVATE, recursive: true },
    { kind: MS_SHARED, recursive: false },
  ]);
  assert.deepEqual(options.data, [
    ["size", "64k"],
    ["mode", "755"],
    ["sync", ""],
  ]);
  assert.equal(options.bind, "rbind");
  assert.equal(parseMountOptions(["noatime", "atime"]).attributes.set, 0);
});

test("a tmpfs becomes read-only when everything is in it", () => {
  const { stage } = compile((spec) => {
    spec.mounts = [
      { destination: "/t", type: "tmpfs", options: ["ro"] },
      { destination: "/t/x", type: "bind", source: "/etc", options: ["bind"] },
    ];
  });
  const at = (name: string, subject: string): number =>
    stage.findIndex((one) => one.name === name && one.subject === subject);
  assert.ok(at("openTreeIn", "/t") > at("moveMountIn", "/t/x"));
});

test("a sysctl's first separator decides which one it uses", () => {
  assert.equal(sysctlPath("net.ipv4.conf.eth0/1.forwarding"), "net/ipv4/conf/eth0.1/forwarding");
  assert.equal(sysctlPath("net/ipv4/conf/eth0.1/forwarding"), "net/ipv4/conf/eth0.1/forwarding");
});

test("an exec opens cgroups, joins the namespaces, makes its process in the cgroup and joins the cgroup namespace from there", () => {
  const spec = parseRuntimeSpec(JSON.stringify(exampleSpec()));
  const place = cgroupPlace(facts.cgroups, "/c", "c");
  const process = parseProcess(JSON.stringify({ args: ["id"], cwd: "/" }));
  const list = names(compileExec({ facts, spec, process, place, wait }).stage);
  assert.deepEqual(list.slice(0, 6), ["open", "open", "setnsInit", "clone", "writeSlot", "setnsInit"]);
  assert.match(
    refusal(() => parseProcess(JSON.stringify({ args: [], cwd: "/" }))).message,
    /process.json \/args: is empty/,
  );
});
