import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { delayMs, parseRetryAfter } from "./backoff.ts";
import { endpointsOf } from "./endpoint.ts";
import { formatRateLimit, readRateLimit } from "./rate-limit.ts";
import { nextPage } from "./registry.ts";
import { defaultSettings, isInsecure, parseMirrors } from "./settings.ts";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(process.env.TMPDIR ?? "/tmp", "hull-registry-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test("hosts.toml names hosts, their abilities, certificates and headers", async () => {
  const home = join(directory, "quay.io");
  mkdirSync(home);
  writeFileSync(join(home, "ca.pem"), "CA");
  writeFileSync(
    join(home, "hosts.toml"),
    'server = "https://quay.io"\n[host."http://mirror:5000"]\ncapabilities = ["pull", "resolve"]\nca = "ca.pem"\n[host."http://mirror:5000".header]\nx-a = ["1", "2"]\n[host."https://other/prefix"]\noverride_path = true\nskip_verify = true\n',
  );
  const [first, second, third, ...rest] = await endpointsOf("quay.io", {
    ...defaultSettings,
    certDirectories: [directory],
  });
  assert.deepEqual(
    [first!.roots, [...first!.abilities], first!.headers, first!.isMirror],
    [["http://mirror:5000/v2"], ["pull", "resolve"], { "x-a": "1, 2" }, true],
  );
  assert.ok(first!.tls.ca?.includes("CA"));
  assert.deepEqual([second!.roots, second!.tls.verify], [["https://other/prefix"], false]);
  assert.deepEqual([third!.roots, third!.tls.verify, third!.isMirror, rest], [["https://quay.io/v2"], true, false, []]);
});

test("Docker's certs.d: authorities, and a certificate with its key", async () => {
  const home = join(directory, "r.example:5000");
  mkdirSync(home);
  for (const name of ["a.crt", "client.cert", "client.key"]) writeFileSync(join(home, name), name);
  const settings = { ...defaultSettings, certDirectories: [directory] };
  const [endpoint] = await endpointsOf("r.example:5000", settings);
  assert.ok(endpoint!.tls.ca?.includes("a.crt"));
  assert.deepEqual([endpoint!.tls.cert, endpoint!.tls.key, endpoint!.tls.verify], ["client.cert", "client.key", true]);
  rmSync(join(home, "client.key"));
  await assert.rejects(endpointsOf("r.example:5000", settings), /missing key .*client\.key/);
});

test("docker.io is asked at its host, an insecure registry with and without TLS", async () => {
  const rootsOf = async (registry: string) =>
    (await endpointsOf(registry, { ...defaultSettings, certDirectories: [], insecure: ["10.1.0.0/16", "lab"] })).map(
      ({ roots }) => roots,
    );
  assert.deepEqual(await rootsOf("docker.io"), [["https://registry-1.docker.io/v2"]]);
  assert.deepEqual(await rootsOf("10.1.2.3:5000"), [["https://10.1.2.3:5000/v2", "http://10.1.2.3:5000/v2"]]);
  assert.deepEqual(await rootsOf("10.2.2.3:5000"), [["https://10.2.2.3:5000/v2"]]);
  for (const host of ["localhost:5000", "127.0.0.2:1", "[::1]:5000", "lab:80"])
    assert.ok(isInsecure({ insecure: ["lab"] }, host), host);
});

test("mirrors are given for Docker Hub or for a registry by name", () => {
  assert.deepEqual(parseMirrors(["https://a", "quay.io=http://b/c", "https://d/"]), {
    "docker.io": ["https://a/", "https://d/"],
    "quay.io": ["http://b/c/"],
  });
  assert.throws(() => parseMirrors(["ftp://a"]), /invalid mirror/);
});

test("waits double up to a bound, with jitter; Retry-After is seconds or a date", () => {
  assert.deepEqual(
    [1, 2, 3, 20].map((attempt) => delayMs(attempt, 0)),
    [250, 500, 1000, 15_000],
  );
  assert.equal(delayMs(3, 0.5), 1500);
  assert.equal(parseRetryAfter("7", 0), 7000);
  assert.equal(parseRetryAfter("Thu, 01 Jan 1970 00:00:10 GMT", 4000), 6000);
  assert.equal(parseRetryAfter("soon", 0), undefined);
});

test("pull limits are read as Docker Hub tells them", () => {
  const headers = new Headers({
    "ratelimit-limit": "100;w=21600",
    "ratelimit-remaining": "76;w=21600",
    "docker-ratelimit-source": "192.0.2.1",
  });
  const limit = readRateLimit(headers);
  assert.deepEqual(limit, { limit: 100, remaining: 76, windowSeconds: 21_600, source: "192.0.2.1" });
  assert.equal(formatRateLimit(limit!), "76 of 100 pulls left for 6 h");
  assert.equal(readRateLimit(new Headers()), undefined);
});

test("pages of tags follow the link's query only", () => {
  assert.equal(nextPage('</v2/a/tags/list?last=b&n=2>; rel="next"', "/a/tags/list?n=2"), "/a/tags/list?last=b&n=2");
  assert.equal(nextPage('<https://evil/v2/a/tags/list?last=b>; rel="next"', "/a/tags/list?n=2"), "/a/tags/list?last=b");
  assert.equal(nextPage(null, "/a"), undefined);
});
