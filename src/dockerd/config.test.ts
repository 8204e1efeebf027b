import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { HullError } from "../platform/errors.ts";
import { loadConfig } from "./config-merge.ts";
import { parseFlags } from "./flags.ts";
import { checkHosts } from "./http/listeners.ts";

const directory = mkdtempSync(join(tmpdir(), "hull-config-"));
const file = join(directory, "daemon.json");
after(() => rmSync(directory, { recursive: true }));

function load(json: string, ...argv: string[]) {
  writeFileSync(file, json);
  const line = parseFlags([...argv, "--config-file", file]);
  assert.ok(line.kind === "run");
  const config = loadConfig(line.given);
  checkHosts(config);
  return config;
}

test("flags and daemon.json make one set of settings", () => {
  const config = load(
    '{"debug":true,"hosts":["unix:///x.sock"],"default-ulimits":{"nofile":{"Soft":1,"Hard":2}}}',
    "--mtu=1400",
  );
  assert.equal(config.logLevel, "debug");
  assert.deepEqual(config.hosts, ["unix:///x.sock"]);
  assert.deepEqual(config.defaultUlimits, [{ name: "nofile", soft: 1, hard: 2 }]);
  assert.equal(config.network.mtu, 1400);
});

test("without a host the socket is in the exec root, and only default roots take Docker's place", () => {
  assert.deepEqual(load("{}", "--exec-root", "/tmp/e/").hosts, ["unix:///tmp/e/docker.sock"]);
  assert.equal(load("{}", "--exec-root", "/tmp/e").defaultHosts, false);
  assert.equal(load("{}").defaultHosts, true);
});

const refusals: readonly (readonly [string, string, readonly string[], RegExp])[] = [
  ["an unknown flag", "{}", ["--nope"], /^unknown flag: --nope$/],
  ["an unknown short flag", "{}", ["-x"], /^unknown shorthand flag: 'x' in -x$/],
  ["an operand", "{}", ["run"], /takes no arguments/],
  ["an unknown key", '{"nope":1}', [], /the following directives don't match any configuration option: nope/],
  [
    "a setting given twice",
    '{"debug":true}',
    ["--debug=false"],
    /specified both as a flag and in the configuration file: debug: \(from flag: false, from file: true\)/,
  ],
  ["a wrong type", '{"debug":"yes"}', [], /invalid value of "debug"/],
  ["malformed JSON", "{", [], /unable to configure the Docker daemon with file/],
  ["an external containerd", "{}", ["--containerd=/x"], /not supported yet/],
  ["TCP without TLS", "{}", ["-H", "tcp://0.0.0.0:2375"], /--tlsverify/],
  ["an unknown scheme", "{}", ["-H", "http://x"], /invalid bind address/],
  ["an unknown runtime", "{}", ["--default-runtime=x"], /specified default runtime 'x' does not exist/],
  ["an unknown log driver", "{}", ["--log-driver=syslog"], /invalid --log-driver/],
  ["a bad label", "{}", ["--label=x"], /bad attribute format: x/],
  ["a bad ulimit", "{}", ["--default-ulimit=nofile=5:1"], /less than or equal to hard limit/],
  ["a bad number", "{}", ["--mtu=big"], /strconv\.ParseInt/],
  ["a bad mirror", "{}", ["--registry-mirror=ftp://x"], /invalid mirror/],
  ["a relative root", "{}", ["--data-root=x"], /must be an absolute path/],
];
for (const [what, json, argv, message] of refusals) {
  test(`${what} is refused`, () => {
    assert.throws(
      () => load(json, ...argv),
      (error) => error instanceof HullError && error.code === "invalid-argument" && message.test(error.message),
    );
  });
}

test("a named daemon.json must exist", () => {
  const line = parseFlags(["--config-file", join(directory, "absent")]);
  assert.ok(line.kind === "run");
  assert.throws(() => loadConfig(line.given), /no such file or directory/);
});

test("what builds may be allowed: network.host unless the file says otherwise", () => {
  const entitlements = (json: string, ...argv: string[]) => load(json, ...argv).builderEntitlements;
  assert.deepEqual(entitlements("{}"), ["network.host"]);
  assert.deepEqual(entitlements('{"builder":{"entitlements":{"security-insecure":true}}}'), [
    "network.host",
    "security.insecure",
  ]);
  assert.deepEqual(entitlements('{"builder":{"entitlements":{"network-host":false}}}'), []);
  assert.deepEqual(entitlements("{}", "--builder-entitlement", "security.insecure"), ["security.insecure"]);
  for (const builder of ['"x"', '{"gc":{}}', '{"entitlements":{"root":true}}', '{"entitlements":{"network-host":1}}'])
    assert.throws(() => load(`{"builder":${builder}}`), HullError, builder);
});
