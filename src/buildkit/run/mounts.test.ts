import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { RunMount } from "../graph/vertex.ts";
import { noSecrets, ready, runVertex, scratch, TestBuilder } from "./harness.ts";
import { pathsBelow } from "./stubs.ts";

let builder: TestBuilder;
before(async () => {
  builder = await TestBuilder.open();
});
after(() => builder[Symbol.asyncDispose]());

type Kind<K extends RunMount["kind"]> = Extract<RunMount, { readonly kind: K }>;

const bind = (more: Partial<Kind<"bind">> = {}): Kind<"bind"> => ({
  kind: "bind",
  from: scratch,
  source: "/",
  target: "/src",
  writable: false,
  ...more,
});
const secret = (more: Partial<Kind<"secret">> = {}): Kind<"secret"> => ({
  kind: "secret",
  id: "token",
  target: "/run/secrets/token",
  env: "",
  required: false,
  mode: 0o400,
  uid: 0,
  gid: 0,
  ...more,
});

/** Directories with these files, a text each. */
function tree(name: string, files: Readonly<Record<string, string>>): string {
  const directory = join(builder.directory, name);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(directory, path, ".."), { recursive: true });
    writeFileSync(join(directory, path), text);
  }
  return directory;
}

test("a bind shows a directory of its source, read-only, and leaves nothing", async () => {
  const source = tree("one", { "lib/a": "A" });
  const script = "cat /src/a; echo x > /src/b || echo refused";
  const ran = await builder.run(script, { mounts: [ready(bind({ source: "/lib" }), [source])] });
  assert.equal(ran.stdout, "Arefused\n");
  assert.deepEqual(pathsBelow(ran.layer.upper), []);
});

test("a bind of several layers shows them as one", async () => {
  const directories = [tree("top", { "d/a": "new" }), tree("low", { "d/a": "old", "d/b": "b" })];
  const ran = await builder.run("cat /src/a /src/b", { mounts: [ready(bind({ source: "d" }), directories)] });
  assert.equal(ran.stdout, "newb");
});

test("what is written to a writable bind is thrown away", async () => {
  const source = tree("kept", { a: "A" });
  const script = "echo more >> /src/a; echo b > /src/b; cat /src/a; ls /src";
  const ran = await builder.run(script, { mounts: [ready(bind({ writable: true }), [source])] });
  assert.equal(ran.stdout, "Amore\na\nb\n");
  assert.deepEqual([readdirSync(source), readFileSync(join(source, "a"), "utf8")], [["a"], "A"]);
  assert.deepEqual(pathsBelow(ran.layer.upper), []);
});

test("a bind of one file", async () => {
  const ran = await builder.run("cat /etc/app.conf", {
    mounts: [ready(bind({ source: "/conf", target: "/etc/app.conf" }), [tree("file", { conf: "C" })])],
  });
  assert.deepEqual([ran.stdout, pathsBelow(ran.layer.upper)], ["C", []]);
});

test("a source's links lead nowhere but into the source", async () => {
  const source = tree("linked", { "etc/passwd": "the source's own" });
  symlinkSync("/etc", join(source, "out"));
  symlinkSync("../../../../../../etc/passwd", join(source, "up"));
  for (const [path, file] of [
    ["/out/passwd", "/src"],
    ["/up", "/src"],
  ] as const) {
    const ran = await builder.run(`cat ${file}`, { mounts: [ready(bind({ source: path }), [source])] });
    assert.equal(ran.stdout, "the source's own");
  }
});

test("a bind of nothing that there is fails and names it", async () => {
  const mounts = [ready(bind({ source: "/absent" }), [tree("some", { a: "" })])];
  await assert.rejects(builder.run("true", { mounts }), /\/absent.*ENOENT/s);
});

test("a tmpfs has its size and is no part of the layer", async () => {
  const mounts = [ready({ kind: "tmpfs", target: "/t/mp", sizeBytes: 2 << 20 })];
  const script = "echo x > /t/mp/f; busybox df -k /t/mp | busybox tail -n 1 | busybox awk '{print $2}'";
  const ran = await builder.run(script, { mounts });
  assert.deepEqual([ran.stdout, pathsBelow(ran.layer.upper)], ["2048\n", []]);
});

test("what is written to a volume is thrown away; where the image has none its directory stays in the layer", async () => {
  const image = tree("image", { "data/old": "old" });
  const script =
    "cat /data/old; echo new > /data/old; echo x > /data/made; echo y > /new/volume/made; cat /data/old; ls /new/volume";
  const ran = await builder.run(script, {
    mounts: [ready({ kind: "volume", target: "/data" }, [image]), ready({ kind: "volume", target: "/new/volume" }, [])],
  });
  assert.equal(ran.stdout, "oldnew\nmade\n");
  assert.deepEqual(readdirSync(join(image, "data")), ["old"]);
  assert.deepEqual(pathsBelow(ran.layer.upper).toSorted(), ["data", "new", "new/volume"]);
});

const TEXT = "hunter2-8c1f03d4a7";
const secrets = { ...noSecrets, secret: async (id: string) => (id === "token" ? Buffer.from(TEXT) : undefined) };

test("a secret is a file of the mode and owner that were asked for, and is nowhere afterwards", async () => {
  const script =
    "cat /run/secrets/token; stat -c ' %a %u %g' /run/secrets/token; echo x > /run/secrets/token || echo no";
  const vertex = runVertex(script);
  const mounts = [ready(secret({ mode: 0o440, uid: 5, gid: 6 }))];
  const ran = await builder.run(vertex, { mounts, secrets });
  assert.equal(ran.stdout, `${TEXT} 440 5 6\nno\n`);
  assert.deepEqual(pathsBelow(ran.layer.upper), []);
  await builder.runner.settled();
  assert.deepEqual(filesWith(TEXT), []);
});

test("a trace tells how a secret was mounted and never what it is", async () => {
  const mounts = [ready(secret({ env: "TOKEN" }))];
  await builder.run("true", { mounts, secrets });
  const told = JSON.stringify(builder.steps, (_, value) => (typeof value === "bigint" ? `${value}` : value));
  assert.match(told, /secrets/);
  assert.ok(!told.includes(TEXT) && !told.includes(Buffer.from(TEXT).toString("base64")));
});

/** Files of the builder's roots and of all layers with these bytes. */
function filesWith(text: string): string[] {
  const found = execFileSync("sh", ["-c", `grep -rlF -- ${text} ${builder.directory} || true`], { encoding: "utf8" });
  return found.split("\n").filter(Boolean);
}

test("while the command runs a secret is in no file of the host", async () => {
  const seen: string[][] = [];
  const onOutput = (): void => void seen.push(filesWith(TEXT));
  await builder.run("echo now; cat /run/secrets/token >/dev/null", {
    mounts: [ready(secret())],
    secrets,
    onOutput,
  });
  assert.deepEqual(seen, [[]]);
});

test("a secret in a variable alone makes no file", async () => {
  const ran = await builder.run("echo $TOKEN; ls /run/secrets || true", {
    mounts: [ready(secret({ env: "TOKEN", target: "" }))],
    secrets,
  });
  assert.equal(ran.stdout, `${TEXT}\n`);
});

test("a secret that is required and missing is an error in BuildKit's words; one that is not required is left out", async () => {
  const failing = builder.run("true", { mounts: [ready(secret({ id: "other", required: true }))], secrets });
  await assert.rejects(failing, { code: "not-found", message: "secret other: not found" });
  const ran = await builder.run("ls /run/secrets || echo none", { mounts: [ready(secret({ id: "other" }))], secrets });
  assert.equal(ran.stdout, "none\n");
});

const ssh: Kind<"ssh"> = {
  kind: "ssh",
  id: "default",
  target: "/run/buildkit/ssh_agent.0",
  required: true,
  mode: 0o600,
  uid: 7,
  gid: 8,
};

test("an agent's socket is there, named by SSH_AUTH_SOCK, and given back", async () => {
  const socketPath = join(builder.directory, "agent.sock");
  const server = createServer((socket) => socket.end("answer\n")).listen(socketPath);
  await new Promise((resolve) => server.once("listening", resolve));
  let given = 0;
  const agents = {
    ...noSecrets,
    sshAgent: async () => ({ socketPath, [Symbol.asyncDispose]: async () => void given++ }),
  };
  const script =
    "echo $SSH_AUTH_SOCK; stat -c '%a %u %g' $SSH_AUTH_SOCK; busybox test -S $SSH_AUTH_SOCK && echo socket";
  const ran = await builder.run(script, { mounts: [ready(ssh)], secrets: agents });
  server.close();
  assert.equal(ran.stdout, "/run/buildkit/ssh_agent.0\n600 7 8\nsocket\n");
  assert.deepEqual([given, pathsBelow(ran.layer.upper)], [1, []]);
});

test("an agent that is required and missing is an error", async () => {
  await assert.rejects(builder.run("true", { mounts: [ready(ssh)] }), /no SSH key "default" forwarded from the client/);
});

test("here-documents are programs below /dev/pipes", async () => {
  const pipes = [{ name: "EOF", data: "#!/bin/sh\necho from $0\n" }];
  const ran = await builder.run(runVertex("", { argv: ["/dev/pipes/EOF"], pipes }));
  assert.deepEqual([ran.stdout, ran.stderr], ["from /dev/pipes/EOF\n", ""]);
});

test("mounts in mounts come after what holds them, however they are written", async () => {
  const inner = ready(bind({ target: "/a/b", source: "/" }), [tree("inner", { f: "inner" })]);
  const outer = ready({ kind: "tmpfs", target: "/a", sizeBytes: 0 });
  const ran = await builder.run("cat /a/b/f", { mounts: [inner, outer] });
  assert.equal(ran.stdout, "inner");
});

test("mount points go; what the command made beside them stays, with the times of its own", async () => {
  const layer = builder.layer([tree("stubbed", { "opt/keep": "k" }), builder.root.path]);
  const before = statSync(join(layer.lowers[0]!, "opt")).mtimeMs;
  const mounts = [
    ready({ kind: "tmpfs", target: "/opt/cache", sizeBytes: 0 }),
    ready({ kind: "tmpfs", target: "/made/by/mount", sizeBytes: 0 }),
  ];
  const ran = await builder.run("echo new >> /opt/keep; echo x > /made/x", { layer, mounts });
  assert.deepEqual(pathsBelow(ran.layer.upper).sort(), ["made", "made/x", "opt", "opt/keep"]);
  // The runtime changed /opt for its mount point, the command only what is in it.
  assert.ok(Math.abs(statSync(join(layer.upper, "opt")).mtimeMs - before) < 0.01);
});

test("a link where a file of the engine belongs is followed inside the root, and nothing stays where it leads", async () => {
  const top = tree("resolvers", { "etc/keep": "" });
  symlinkSync("/run/systemd/resolve/stub-resolv.conf", join(top, "etc/resolv.conf"));
  const layer = builder.layer([top, builder.root.path]);
  const ran = await builder.run("busybox wc -c < /etc/resolv.conf", { layer });
  assert.deepEqual([ran.exitCode, pathsBelow(layer.upper)], [0, []]);
});
