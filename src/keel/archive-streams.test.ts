import assert from "node:assert/strict";
import { execFileSync, type SpawnSyncReturns, spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { keelPath } from "../platform/paths.ts";
import { until } from "./shim-harness.ts";
import { member, tarOf } from "./tar-harness.ts";

const directory = mkdtempSync(join(tmpdir(), "keel-streams-"));
after(() => rmSync(directory, { recursive: true, force: true }));

let made = 0;
function fresh(): string {
  const path = join(directory, `d${made++}`);
  mkdirSync(path);
  return path;
}

const keel = (args: readonly string[], input: Uint8Array = Buffer.alloc(0)): SpawnSyncReturns<Buffer> =>
  spawnSync(keelPath(), args, { input, maxBuffer: 1 << 28 });

/** The code on stderr, "" for success. */
function codeOf(result: SpawnSyncReturns<Buffer>): string {
  if (result.status === 0) return "";
  assert.equal(result.status, 1, result.stderr.toString());
  return JSON.parse(result.stderr.toString()).code;
}

const shell = (script: string, cwd: string): string => execFileSync("/bin/bash", ["-ec", script], { cwd }).toString();
const namesIn = (tar: Uint8Array): string[] =>
  spawnSync("tar", ["-tf", "-"], { input: tar }).stdout.toString().split("\n").filter(Boolean);
const file = (name: string, text = "x"): Buffer => member({ name, bytes: Buffer.from(text) });

test("docker cp's rules for the destination each have their code", () => {
  const root = fresh();
  shell("mkdir dir sub; echo f > file; mkdir dir/inner", root);
  const apply = (tar: Uint8Array, ...more: string[]) => codeOf(keel(["apply", "--root", root, ...more], tar));
  assert.equal(apply(tarOf(file("x")), "--path", "/absent"), "not-found");
  assert.equal(apply(tarOf(file("x")), "--path", "/file"), "not-a-directory");
  const keepKinds = "--no-overwrite-dir-non-dir";
  assert.equal(apply(tarOf(file("dir")), keepKinds), "is-a-directory");
  assert.equal(apply(tarOf(member({ name: "file/", type: "5" })), keepKinds), "not-a-directory");
  assert.equal(apply(tarOf(file("file", "new")), keepKinds), "");
  assert.equal(readFileSync(join(root, "file"), "utf8"), "new");
  assert.equal(apply(Buffer.from("no tar")), "bad-archive");
  assert.deepEqual(readdirSync(root).sort(), ["dir", "file", "sub"]);
});

test("in docker cp a whiteout's name is a name", () => {
  const root = fresh();
  assert.equal(codeOf(keel(["apply", "--directory", root], tarOf(file(".wh.x"), file("x")))), "");
  assert.deepEqual(readdirSync(root).sort(), [".wh.x", "x"]);
});

test("a destination's absolute link means the container's root", () => {
  const root = fresh();
  shell("mkdir -p var run real; ln -s /run var/run; ln -s /real alias", root);
  assert.equal(codeOf(keel(["apply", "--root", root, "--path", "/var"], tarOf(file("run/pid")))), "");
  assert.equal(codeOf(keel(["apply", "--root", root, "--path", "/alias"], tarOf(file("f")))), "");
  assert.ok(existsSync(join(root, "run/pid")) && existsSync(join(root, "real/f")));
});

test("--chown gives everything to one owner", () => {
  const root = fresh();
  assert.equal(codeOf(keel(["apply", "--directory", root, "--chown", "12:34"], tarOf(file("f")))), "");
  assert.deepEqual([statSync(join(root, "f")).uid, statSync(join(root, "f")).gid], [12, 34]);
});

test("an archive's names follow docker cp: the base name, '.' for contents, or what is asked", () => {
  const root = fresh();
  shell("mkdir -p etc/conf; echo 1 > etc/conf/a; ln etc/conf/a etc/conf/b; ln -s /etc/conf link", root);
  const list = (...args: string[]) => namesIn(keel(["archive", "--root", root, ...args]).stdout);
  assert.deepEqual(list("--path", "/etc/conf"), ["conf/", "conf/a", "conf/b"]);
  assert.deepEqual(list("--path", "/etc/conf/."), ["./", "./a", "./b"]);
  assert.deepEqual(list("--path", "/"), ["/", "/etc/", "/etc/conf/", "/etc/conf/a", "/etc/conf/b", "/link"]);
  assert.deepEqual(list("--path", "/link"), ["link"]);
  assert.deepEqual(list("--path", "/link/"), ["link/", "link/a", "link/b"]);
  assert.deepEqual(list("--path", "/etc/conf", "--name", "new"), ["new/", "new/a", "new/b"]);
  assert.deepEqual(list("--path", "/", "--name", ""), ["etc/", "etc/conf/", "etc/conf/a", "etc/conf/b", "link"]);
  assert.equal(codeOf(keel(["archive", "--root", root, "--path", "/none"])), "not-found");
  assert.equal(codeOf(keel(["archive", "--root", root, "--path", "/etc/conf/a/"])), "not-a-directory");
});

test("a volume is seen through --bind, and a read-only one refuses", () => {
  const [root, volume] = [fresh(), fresh()];
  writeFileSync(join(volume, "kept"), "v");
  const bind = (mode: string) => ["--root", root, "--bind", `${volume}:/data${mode}`];
  assert.equal(codeOf(keel(["apply", ...bind(""), "--path", "/data"], tarOf(file("new")))), "");
  assert.deepEqual(readdirSync(volume).sort(), ["kept", "new"]);
  assert.equal(codeOf(keel(["apply", ...bind(":ro"), "--path", "/data"], tarOf(file("no")))), "read-only");
  assert.equal(codeOf(keel(["apply", ...bind(""), "--read-only", "--path", "/"], tarOf(file("no")))), "read-only");
  assert.equal(codeOf(keel(["apply", ...bind(""), "--read-only", "--path", "/data"], tarOf(file("yes")))), "");
  assert.deepEqual(namesIn(keel(["archive", ...bind(""), "--path", "/data"]).stdout), [
    "data/",
    "data/kept",
    "data/new",
    "data/yes",
  ]);
  assert.deepEqual(readdirSync(join(root, "data")), []);
});

test("with --pid everything happens in that process's mounts and root", async () => {
  const root = fresh();
  shell(
    "mkdir usr proc tmp ro; ln -s usr/bin bin; ln -s usr/lib lib; ln -s usr/lib64 lib64; ln -s /tmp elsewhere",
    root,
  );
  const script = `mount --rbind /usr usr && mount -t proc proc proc && mount -t tmpfs none tmp && mount -t tmpfs -o ro none ro && mkdir tmp/old &&
    pivot_root . tmp/old && cd / && umount -l /tmp/old && rmdir /tmp/old && echo up && exec sleep 1000`;
  const child = spawn("unshare", ["-m", "bash", "-ec", `mount --bind ${root} ${root} && cd ${root} && ${script}`]);
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  await until("the container is up", () => said.includes("up"));
  const of = ["--pid", String(child.pid)];
  try {
    assert.equal(codeOf(keel(["apply", ...of, "--path", "/elsewhere"], tarOf(file("f", "inside")))), "");
    assert.equal(keel(["archive", ...of, "--path", "/tmp/f"]).stdout.includes("inside"), true);
    assert.ok(!existsSync(join(root, "tmp/f")) && !existsSync("/tmp/f"));
    assert.equal(codeOf(keel(["apply", ...of, "--path", "/ro"], tarOf(file("f")))), "read-only");
    const stat = JSON.parse(keel(["stat", ...of, "--path", "/elsewhere"]).stdout.toString());
    assert.equal(stat.linkTarget, "/tmp");
  } finally {
    child.kill("SIGKILL");
    await until("it has ended", () => child.exitCode !== null || child.signalCode !== null);
  }
  assert.equal(codeOf(keel(["archive", ...of, "--path", "/"])), "no-such-process");
});

test("what can't be understood is refused before anything happens", () => {
  for (const args of [
    [],
    ["--root"],
    ["--root", "/a", "--pid", "1"],
    ["--nonsense"],
    ["--directory", directory, "--chown", "me"],
  ])
    assert.equal(codeOf(keel(["apply", ...args])), "invalid-argument", args.join(" "));
});
