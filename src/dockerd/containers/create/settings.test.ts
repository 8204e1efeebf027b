import assert from "node:assert/strict";
import { test } from "node:test";
import { HullError } from "../../../platform/errors.ts";
import { decodeJson } from "../../http/shape.ts";
import { createShape } from "../shapes.ts";
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
  ipcMode: "private",
} as const;
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
  [{ HostConfig: { ShmSize: -1 } }, "SHM size can not be less than 0"],
];
for (const [fields, text] of refusals)
  test(`${JSON.stringify(fields)} is refused`, () => {
    const request = body(fields);
    const settings = {
      config: configOf(request, imageDefaults({ config: { Cmd: ["sh"] } }), id),
      hostConfig: hostConfigOf(request.HostConfig, defaults),
    };
    assert.throws(
      () => verify(settings, { cpus: 2 }),
      (error) => error instanceof HullError && error.code === "invalid-argument" && error.message.includes(text),
    );
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
