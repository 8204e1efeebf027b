import assert from "node:assert/strict";
import { test } from "node:test";
import { HullError } from "../../../platform/errors.ts";
import { decodeJson } from "../../http/shape.ts";
import { createShape, hostShape } from "../shapes.ts";
import { type Machine, parseHardLimits, parseLacking } from "./machine.ts";
import { parseName, randomName } from "./names.ts";
import { type CreateBody, cleanPath, configOf, hostConfigOf, imageDefaults } from "./settings.ts";
import { verify } from "./verify.ts";

const defaults = {
  logDriver: "json-file",
  logOptions: {},
  shmSize: 67108864,
  runtime: "runc",
  init: false,
  cgroupns: "private",
  privilegedCgroupns: "private",
  ipcMode: "private",
} as const;
const machine: Machine = {
  cpus: 2,
  cgroup: {
    version: "1",
    memoryLimit: true,
    swapLimit: true,
    cpuQuota: true,
    cpuShares: true,
    cpuSet: true,
    pidsLimit: true,
    oomKillDisable: true,
    memorySwappiness: true,
    blkioWeight: true,
    blkioThrottle: true,
  },
  lacking: [],
  hardLimits: {},
};
const id = "0123456789ab".padEnd(64, "0");
const body = (fields: object): CreateBody => decodeJson(JSON.stringify(fields), createShape);
const image = imageDefaults({
  config: {
    Cmd: ["sh"],
    Env: ["PATH=/bin", "A=1"],
    Labels: { a: "1" },
    ExposedPorts: { "80/tcp": {} },
    WorkingDir: "/srv",
  },
});
const config = (fields: object) => configOf(body(fields), image, id);

test("the image's command, environment, labels and ports are inherited", () => {
  const made = config({ Image: "x", Env: ["A=2", "B=3"], Labels: { b: "2" } });
  assert.deepEqual(made.Cmd, ["sh"]);
  assert.deepEqual(made.Env, ["A=2", "B=3", "PATH=/bin"]);
  assert.deepEqual(made.Labels, { a: "1", b: "2" });
  assert.deepEqual(made.ExposedPorts, { "80/tcp": {} });
  assert.deepEqual([made.Hostname, made.WorkingDir], ["0123456789ab", "/srv"]);
});

test("an entrypoint of the request drops the image's command, an empty one resets the entrypoint", () => {
  assert.deepEqual([config({ Entrypoint: ["e"] }).Entrypoint, config({ Entrypoint: ["e"] }).Cmd], [["e"], null]);
  const reset = config({ Entrypoint: [""], Cmd: ["c"] });
  assert.deepEqual([reset.Entrypoint, reset.Cmd], [null, ["c"]]);
});

test("a container without any command is refused", () =>
  assert.throws(() => configOf(body({}), imageDefaults({}), id), /no command specified/));

test("published ports are exposed", () => {
  const made = config({ HostConfig: { PortBindings: { "8080": [{ HostPort: "1" }] } } });
  assert.deepEqual(Object.keys(made.ExposedPorts ?? {}).sort(), ["80/tcp", "8080/tcp"]);
});

test("a malformed image config is refused, not trusted", () =>
  assert.throws(
    () => imageDefaults({ config: { Env: "x" } }),
    (error) => error instanceof HullError && error.code === "invalid-argument",
  ));

test("host settings get Docker's defaults", () => {
  const host = hostConfigOf(body({ HostConfig: { Memory: 10_000_000, CapAdd: ["net_admin"] } }).HostConfig, defaults);
  assert.deepEqual(
    [
      host.MemorySwap,
      host.NetworkMode,
      host.RestartPolicy.Name,
      host.ShmSize,
      host.IpcMode,
      host.LogConfig.Type,
      host.CapAdd,
    ],
    [20_000_000, "bridge", "no", 67108864, "private", "json-file", ["CAP_NET_ADMIN"]],
  );
});

const refusals: readonly (readonly [object, string])[] = [
  [{ HostConfig: { Memory: 1000 } }, "Minimum memory limit allowed is 6MB"],
  [{ HostConfig: { Memory: -1 } }, "Minimum memory limit allowed is 6MB"],
  [{ HostConfig: { Memory: 9_000_000, MemorySwap: 8_000_000 } }, "Minimum memoryswap limit"],
  [{ HostConfig: { NanoCpus: 9e9 } }, "range of CPUs is from 0.01 to 2.00"],
  [{ HostConfig: { CpusetCpus: "0-x" } }, "Invalid value 0-x for cpuset cpus"],
  [{ HostConfig: { CpusetCpus: "7" } }, "Requested CPUs are not available"],
  [{ HostConfig: { RestartPolicy: { Name: "sometimes" } } }, "invalid restart policy: unknown policy 'sometimes'"],
  [
    { HostConfig: { RestartPolicy: { Name: "always", MaximumRetryCount: 2 } } },
    "maximum retry count can only be used with 'on-failure'",
  ],
  [
    { HostConfig: { AutoRemove: true, RestartPolicy: { Name: "always" } } },
    "can't create 'AutoRemove' container with restart policy",
  ],
  [{ WorkingDir: "x" }, "needs to be an absolute path"],
  [{ Env: ["=x"] }, "invalid environment variable: =x"],
  [{ StopSignal: "SIGNOPE" }, "invalid signal: SIGNOPE"],
  [{ Healthcheck: { Test: ["CMD", "x"], Interval: 1 } }, "Interval in Healthcheck cannot be less than 1ms"],
  [{ HostConfig: { PidMode: "container:" } }, "Invalid container format"],
  [{ HostConfig: { IpcMode: "x" } }, "invalid IPC mode: x"],
  [{ Hostname: "h", HostConfig: { NetworkMode: "container:x" } }, "hostname and the network mode"],
  [{ HostConfig: { PortBindings: { "99999/tcp": [] } } }, "invalid port specification"],
  [{ HostConfig: { ExtraHosts: ["x"] } }, "bad format for add-host"],
  [{ HostConfig: { ExtraHosts: ["x:y"] } }, "invalid IP address in add-host"],
  [{ HostConfig: { Ulimits: [{ Name: "nofile", Soft: 5, Hard: 2 }] } }, "ulimit soft limit"],
  [{ HostConfig: { OomScoreAdj: 2000 } }, "range for oom score adj"],
  [{ HostConfig: { Tmpfs: { "/x": "size=1m,foo=bar" } } }, 'invalid tmpfs option ["foo" "bar"]'],
  [{ HostConfig: { Tmpfs: { "/x": "sync,foo" } } }, 'invalid tmpfs option ["foo"]'],
  [{ HostConfig: { Tmpfs: { x: "" } } }, "invalid mount path: 'x' mount path must be absolute"],
  [{ HostConfig: { Tmpfs: { "/x/..": "" } } }, "destination can't be '/'"],
  [{ HostConfig: { StorageOpt: { size: "1G" } } }, "--storage-opt is supported only for overlay over xfs"],
  [{ HostConfig: { ShmSize: -1 } }, "SHM size can not be less than 0"],
];
for (const [fields, text] of refusals)
  test(`${JSON.stringify(fields)} is refused`, () => {
    const settings = settingsOf(fields);
    assert.throws(
      () => verify(settings, machine),
      (error) => error instanceof HullError && error.code === "invalid-argument" && error.message.includes(text),
    );
  });

const settingsOf = (fields: object) => {
  const request = body(fields);
  return {
    config: configOf(request, imageDefaults({ config: { Cmd: ["sh"] } }), id),
    hostConfig: hostConfigOf(request.HostConfig, defaults),
  };
};

test("limits that this machine has no controllers for are discarded in Docker's words", () => {
  const cgroup = Object.fromEntries(
    Object.entries(machine.cgroup).map(([key, value]) => [key, key === "version" ? value : false]),
  ) as unknown as Machine["cgroup"];
  const asked = {
    Memory: 20_000_000,
    MemoryReservation: 10_000_000,
    CpuShares: 5,
    CpuQuota: 2000,
    PidsLimit: 3,
    CpusetCpus: "0",
    BlkioWeight: 20,
    OomKillDisable: true,
    MemorySwappiness: 5,
  };
  const { kept, warnings } = verify(settingsOf({ HostConfig: asked }), { ...machine, cgroup });
  assert.deepEqual(
    [kept.Memory, kept.MemorySwap, kept.MemoryReservation, kept.CpuShares, kept.CpuQuota, kept.PidsLimit],
    [0, -1, 0, 0, 0, null],
  );
  assert.deepEqual(
    [kept.CpusetCpus, kept.BlkioWeight, kept.OomKillDisable, kept.MemorySwappiness],
    ["", 0, null, null],
  );
  assert.equal(
    warnings[0],
    "Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.",
  );
  assert.equal(warnings.length, 9);
  assert.throws(
    () => verify(settingsOf({ HostConfig: { NanoCpus: 1e9 } }), { ...machine, cgroup }),
    /NanoCPUs can not be set/,
  );
  assert.deepEqual(verify(settingsOf({ HostConfig: asked }), machine).warnings, []);
});

test("privileges that the engine lacks are said, and nothing where nothing is lacking", () => {
  const poor = { ...machine, lacking: ["CAP_SYS_RESOURCE"], hardLimits: { nofile: 20_000 } };
  const asked = {
    Privileged: true,
    OomScoreAdj: -5,
    Ulimits: [
      { Name: "nofile", Soft: 10, Hard: 30_000 },
      { Name: "core", Soft: 0, Hard: -1 },
    ],
  };
  const { warnings } = verify(settingsOf({ HostConfig: asked }), poor);
  assert.equal(warnings.length, 3);
  assert.match(warnings[0]!, /lacks capabilities.*: CAP_SYS_RESOURCE\./);
  assert.match(warnings[1]!, /ulimit nofile is 20000/);
  assert.match(warnings[2]!, /oom-score-adj -5/);
  assert.deepEqual(verify(settingsOf({ HostConfig: asked }), machine).warnings, []);
  assert.deepEqual(verify(settingsOf({}), poor).warnings, []);
});

test("the engine's own capabilities and limits are read as the kernel writes them", () => {
  assert.deepEqual(parseLacking("Name:\tx\nCapEff:\t000000fffeffffff\n", 39), ["CAP_SYS_RESOURCE"]);
  const limits = parseHardLimits(
    "Limit                     Soft Limit           Hard Limit           Units     \n" +
      "Max open files            1024                 20000                files     \n" +
      "Max stack size            8388608              unlimited            bytes     \n",
  );
  assert.deepEqual(limits, { nofile: 20_000, stack: Number.POSITIVE_INFINITY });
});

test("names are checked and made", () => {
  assert.equal(parseName("/web_1"), "web_1");
  for (const wrong of ["", "a", "-x", "a b", "ä1"]) assert.throws(() => parseName(wrong), /Invalid container name/);
  let tries = 0;
  assert.match(
    randomName(() => tries++ < 5),
    /^[a-z]+_[a-z]+\d+$/,
  );
});

test("paths are cleaned lexically", () =>
  assert.deepEqual(["/a//b/../c/.", "/..", "rel/x"].map(cleanPath), ["/a/c", "/", "rel/x"]));

test("a privileged container shares the host's cgroup namespace on cgroup v1 only", () => {
  const host = { ...hostShape.zero(), Privileged: true };
  assert.equal(hostConfigOf(host, { ...defaults, privilegedCgroupns: "host" }).CgroupnsMode, "host");
  assert.equal(hostConfigOf(host, defaults).CgroupnsMode, "private");
});
