import assert from "node:assert/strict";
import { test } from "node:test";
import { parseFlags } from "../flags.ts";
import { createRequest } from "./create-body.ts";
import { containerFlags } from "./flags.ts";

const request = (...argv: string[]) => {
  const { flags, operands } = parseFlags(argv, containerFlags, { stopAtOperand: true });
  return createRequest(flags, operands, false);
};
const host = (...argv: string[]) => request(...argv, "busybox").body.HostConfig as unknown as Record<string, unknown>;

test("image, command, environment and name", () => {
  const { body, name } = request("--name", "x", "-e", "A=b", "-w", "/w", "--entrypoint", "/e", "img", "c", "-d");
  assert.deepEqual(
    [body.Image, body.Cmd, body.Env, body.WorkingDir, body.Entrypoint, name],
    ["img", ["c", "-d"], ["A=b"], "/w", ["/e"], "x"],
  );
});

const ports: readonly (readonly [string, object])[] = [
  ["80", { "80/tcp": [{ HostIp: "", HostPort: "" }] }],
  ["8080:80", { "80/tcp": [{ HostIp: "", HostPort: "8080" }] }],
  ["127.0.0.1:53:53/udp", { "53/udp": [{ HostIp: "127.0.0.1", HostPort: "53" }] }],
  ["[::1]:81:80", { "80/tcp": [{ HostIp: "::1", HostPort: "81" }] }],
  ["127.0.0.1::80", { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "" }] }],
  ["8000-8001:80-81", { "80/tcp": [{ HostIp: "", HostPort: "8000" }], "81/tcp": [{ HostIp: "", HostPort: "8001" }] }],
  ["8000-8010:80", { "80/tcp": [{ HostIp: "", HostPort: "8000-8010" }] }],
];
for (const [spec, expected] of ports) {
  test(`-p ${spec}`, () => assert.deepEqual(host("-p", spec).PortBindings, expected));
}

test("mounts in their long and short forms", () => {
  assert.deepEqual(host("-v", "/a:/b:ro", "-v", "vol:/c").Binds, ["/a:/b:ro", "vol:/c"]);
  assert.deepEqual(request("-v", "/anonymous", "i").body.Volumes, { "/anonymous": {} });
  assert.deepEqual(host("--mount", "type=bind,source=/a,target=/b,readonly,bind-propagation=rslave").Mounts, [
    { Type: "bind", Source: "/a", Target: "/b", ReadOnly: true, BindOptions: { Propagation: "rslave" } },
  ]);
  assert.deepEqual(host("--tmpfs", "/run:size=1m").Tmpfs, { "/run": "size=1m" });
});

test("limits, ulimits, devices, health and restart policy", () => {
  const config = host(
    "-m",
    "64m",
    "--cpus",
    "1.5",
    "--ulimit",
    "nofile=10:20",
    "--device",
    "/dev/null:/dev/x:r",
    "--restart",
    "on-failure:3",
  );
  assert.deepEqual(
    [config.Memory, config.NanoCpus, config.Ulimits],
    [67108864, 1.5e9, [{ Name: "nofile", Soft: 10, Hard: 20 }]],
  );
  assert.deepEqual(config.Devices, [{ PathOnHost: "/dev/null", PathInContainer: "/dev/x", CgroupPermissions: "r" }]);
  assert.deepEqual(config.RestartPolicy, { Name: "on-failure", MaximumRetryCount: 3 });
  const { body } = request("--health-cmd", "true", "--health-interval", "5s", "i");
  assert.deepEqual((body.Healthcheck as { Test: unknown; Interval: number }).Interval, 5e9);
});

test("networks in their long form, with aliases and addresses", () => {
  const { body } = request("--network", "name=n,alias=a,ip=10.0.0.9", "--network", "m", "i");
  assert.deepEqual(body.NetworkingConfig, {
    EndpointsConfig: { n: { Aliases: ["a"], IPAMConfig: { IPv4Address: "10.0.0.9" } }, m: {} },
  });
});

const refused: readonly (readonly [readonly string[], RegExp])[] = [
  [["-p", "x"], /invalid containerPort: x/],
  [["-p", "1:2:3:4"], /invalid IP address/],
  [["-p", "80/icmp"], /invalid proto: icmp/],
  [["--mount", "type=bind"], /target is required/],
  [["--mount", "nope=1,target=/a"], /unexpected key 'nope'/],
  [["--ulimit", "nofile=20:10"], /soft limit must be less than or equal to hard limit/],
  [["--rm", "--restart", "always"], /cannot specify both --restart and --rm/],
  [["--add-host", "nothing"], /bad format for add-host/],
  [["-a", "stdnope"], /valid streams are STDIN, STDOUT and STDERR/],
  [["--no-healthcheck", "--health-cmd", "x"], /conflicts with --health/],
];
for (const [argv, message] of refused) {
  test(`${argv.join(" ")} is refused`, () => assert.throws(() => request(...argv, "busybox"), message));
}
