import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { codeOf } from "../../platform/errors.ts";
import { allAuths, eraseAuth, findAuth, keyOf, storeAuth } from "./credentials.ts";

let directory = "";
const path = process.env.PATH;
beforeEach(() => {
  directory = mkdtempSync(join(process.env.TMPDIR ?? "/tmp", "hull-auth-"));
});
afterEach(() => {
  process.env.PATH = path;
  delete process.env.DOCKER_AUTH_CONFIG;
  rmSync(directory, { recursive: true, force: true });
});

const config = (value: object): void => writeFileSync(join(directory, "config.json"), JSON.stringify(value));
const base64 = (text: string): string => Buffer.from(text).toString("base64");
const login = { username: "ann", password: "s:3", identityToken: "" };

/** A helper that keeps what it is given in a directory. */
function installHelper(name: string): string {
  const store = join(directory, "store");
  mkdirSync(store);
  const program = join(directory, `docker-credential-${name}`);
  const script = [
    "#!/bin/sh",
    `cd ${store}`,
    "file() { printf %s \"$1\" | tr '/:' '__'; }",
    "case $1 in",
    'get) read -r key; f=$(file "$key"); if [ -e "$f" ]; then cat "$f"; else echo \'credentials not found in native keychain\'; exit 1; fi ;;',
    'store) body=$(cat); key=$(printf %s "$body" | sed \'s/.*"ServerURL":"\\([^"]*\\)".*/\\1/\'); printf %s "$body" > "$(file "$key")" ;;',
    'erase) read -r key; rm -f "$(file "$key")" ;;',
    'list) echo \'{"r.example:5000":"ann"}\' ;;',
    "esac",
  ];
  writeFileSync(program, `${script.join("\n")}\n`);
  chmodSync(program, 0o755);
  process.env.PATH = `${directory}:${path}`;
  return store;
}

test("a login is kept as docker keeps it, beside what else is in the file", () => {
  config({ currentContext: "lab", auths: { other: { auth: base64("x:y") } } });
  assert.equal(storeAuth(directory, "r.example:5000", login), join(directory, "config.json"));
  const kept = JSON.parse(readFileSync(join(directory, "config.json"), "utf8")) as object;
  assert.deepEqual(kept, {
    auths: { other: { auth: base64("x:y") }, "r.example:5000": { auth: base64("ann:s:3") } },
    currentContext: "lab",
  });
  assert.equal(statSync(join(directory, "config.json")).mode & 0o777, 0o600);
  assert.deepEqual(findAuth(directory, "https://r.example:5000/v2/"), {
    username: "ann",
    password: "s:3",
    serveraddress: "r.example:5000",
  });
  assert.deepEqual([eraseAuth(directory, "r.example:5000"), eraseAuth(directory, "r.example:5000")], [true, false]);
  assert.equal(findAuth(directory, "r.example:5000"), undefined);
  assert.ok(findAuth(directory, "other"));
});

test("Docker Hub has one key under all its names; names that only look alike have none", () => {
  for (const name of ["docker.io", "index.docker.io", "registry-1.docker.io", "https://index.docker.io/v1/"]) {
    assert.equal(keyOf(name), "https://index.docker.io/v1/");
  }
  config({ auths: { "ghcr.io": { auth: base64("u:p") } } });
  assert.equal(findAuth(directory, "evil-ghcr.io"), undefined);
  assert.equal(findAuth(directory, "ghcr.io.evil"), undefined);
});

test("an identity token stands in the place of the password", () => {
  storeAuth(directory, "r.example", { ...login, identityToken: "refresh" });
  assert.deepEqual(findAuth(directory, "r.example"), {
    username: "ann",
    password: "",
    serveraddress: "r.example",
    identitytoken: "refresh",
  });
});

test("DOCKER_AUTH_CONFIG goes before the file, and is refused with fields that nobody knows", () => {
  config({ auths: { "r.example": { auth: base64("file:1") } } });
  process.env.DOCKER_AUTH_CONFIG = JSON.stringify({ auths: { "r.example": { auth: base64("env:2") } } });
  assert.equal(findAuth(directory, "r.example")?.username, "env");
  assert.deepEqual(Object.keys(allAuths(directory)), ["r.example"]);
  process.env.DOCKER_AUTH_CONFIG = JSON.stringify({ auths: {}, credsStore: "x" });
  assert.throws(
    () => findAuth(directory, "r.example"),
    (error) => codeOf(error) === "invalid-argument",
  );
});

test("a store has all credentials and the file none", () => {
  const store = installHelper("fake");
  config({ credsStore: "fake" });
  assert.equal(storeAuth(directory, "r.example:5000", login), undefined);
  assert.match(readFileSync(join(store, "r.example_5000"), "utf8"), /"Username":"ann"/);
  assert.deepEqual(findAuth(directory, "r.example:5000"), {
    username: "ann",
    password: "s:3",
    serveraddress: "r.example:5000",
  });
  assert.deepEqual(Object.keys(allAuths(directory)), ["r.example:5000"]);
  assert.equal(readFileSync(join(directory, "config.json"), "utf8").includes("ann"), false);
  assert.equal(eraseAuth(directory, "r.example:5000"), true);
  assert.equal(findAuth(directory, "r.example:5000"), undefined);
});

test("a registry may have a helper of its own; one that is missing is an error, not nobody", () => {
  installHelper("fake");
  config({
    credHelpers: { "r.example:5000": "fake", "gone.example": "gone" },
    auths: { "gone.example": { auth: base64("u:p") } },
  });
  storeAuth(directory, "r.example:5000", { ...login, identityToken: "t" });
  assert.deepEqual(findAuth(directory, "r.example:5000"), { identitytoken: "t", serveraddress: "r.example:5000" });
  assert.throws(() => findAuth(directory, "gone.example"), /docker-credential-gone/);
});
