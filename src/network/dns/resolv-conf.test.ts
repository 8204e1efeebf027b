import assert from "node:assert/strict";
import { test } from "node:test";
import { asksStub, containerResolvConf, keepsSingleLabels, parseResolvConf } from "./resolv-conf.ts";

const host = parseResolvConf(
  "# c\nnameserver 127.0.0.1\nnameserver 10.0.0.1 # x\nsearch a.test b.test\noptions ndots:2 timeout:1\n",
);
const lines = (text: string): string[] => text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
const base = { host, request: undefined, defaults: {} } as const;

test("servers, search and options are read, comments are not", () => {
  assert.deepEqual(host, {
    servers: ["127.0.0.1", "10.0.0.1"],
    search: ["a.test", "b.test"],
    options: ["ndots:2", "timeout:1"],
  });
});

test("on the default bridge the host's servers without its loopback ones are followed", () => {
  const text = containerResolvConf({ ...base, kind: "host-like" });
  assert.deepEqual(lines(text), ["nameserver 10.0.0.1", "search a.test b.test", "options ndots:2 timeout:1"]);
});

test("a host with loopback servers only gets public ones", () => {
  const only = { ...base, host: parseResolvConf("nameserver 127.0.0.1\nnameserver ::1\n") };
  assert.deepEqual(lines(containerResolvConf({ ...only, kind: "host-like" })), [
    "nameserver 8.8.8.8",
    "nameserver 8.8.4.4",
  ]);
});

test("on a user-defined network there is one server, and single-label names are asked as they are", () => {
  const plain = { ...base, host: parseResolvConf("nameserver 10.0.0.1\n") };
  assert.deepEqual(lines(containerResolvConf({ ...plain, kind: "embedded" })), [
    "nameserver 127.0.0.11",
    "options ndots:0",
  ]);
});

test("the container's own settings come before the daemon's, these before the host's", () => {
  const request = { servers: ["9.9.9.9"], search: ["."], options: ["ndots:1"] };
  const defaults = { servers: ["8.8.8.8"], search: ["d.test"] };
  assert.deepEqual(lines(containerResolvConf({ host, request, defaults, kind: "host-like" })), [
    "nameserver 9.9.9.9",
    "options ndots:1",
  ]);
  const text = containerResolvConf({ host, request: {}, defaults, kind: "host-like" });
  assert.deepEqual(lines(text).slice(0, 2), ["nameserver 8.8.8.8", "search d.test"]);
});

test("in the host's namespace its loopback servers stay", () => {
  assert.match(containerResolvConf({ ...base, kind: "host" }), /^nameserver 127\.0\.0\.1$/m);
});

test("systemd's stub is recognised when it is the only server", () => {
  assert.ok(asksStub(parseResolvConf("nameserver 127.0.0.53\noptions edns0\n")));
  assert.ok(!asksStub(host));
});

test("ndots above 0 keeps single labels from going out", () => {
  assert.ok(keepsSingleLabels(["ndots:1"]) && !keepsSingleLabels(["ndots:0"]) && !keepsSingleLabels([]));
});
