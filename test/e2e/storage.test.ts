import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { run, TestEngine, until } from "../engine.ts";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

const shell = (...args: string[]) => engine.ok("run", "--rm", ...args);

test("a named volume keeps its data, an anonymous one goes with --rm", async () => {
  await shell("-v", "keep:/data", "-v", "/gone", "busybox", "sh", "-c", "echo kept > /data/file");
  assert.equal(await shell("-v", "keep:/data:ro", "busybox", "cat", "/data/file"), "kept");
  assert.deepEqual((await engine.ok("volume", "ls", "-q")).split("\n"), ["keep"]);
  assert.equal(readFileSync(join(engine.dataRoot, "volumes/keep/_data/file"), "utf8"), "kept\n");
  const busy = await engine.docker("run", "--rm", "-v", "keep:/data:ro", "busybox", "touch", "/data/x");
  assert.match(busy.stderr, /Read-only file system/);
  await engine.ok("volume", "rm", "keep");
});

test("an empty volume gets what the image has there, with owners and modes", async () => {
  const out = await shell(
    "-v",
    "home:/var/www",
    "-v",
    "etc:/etc",
    "busybox",
    "sh",
    "-c",
    "stat -c '%a %n' /etc/shadow; wc -l < /etc/group",
  );
  assert.match(out, /^640 \/etc\/shadow/);
  assert.ok(existsSync(join(engine.dataRoot, "volumes/etc/_data/passwd")));
  await engine.ok("volume", "rm", "home", "etc");
});

test("a bind shows the host's directory; -v makes a missing one, --mount refuses it", async () => {
  const directory = engine.path("bind");
  mkdirSync(directory);
  writeFileSync(join(directory, "a"), "from the host");
  assert.equal(await shell("-v", `${directory}:/b`, "busybox", "cat", "/b/a"), "from the host");
  await shell("-v", `${engine.path("made")}:/m`, "busybox", "touch", "/m/x");
  assert.ok(existsSync(engine.path("made/x")));
  const refused = await engine.docker(
    "run",
    "--rm",
    "--mount",
    `type=bind,source=${engine.path("absent")},target=/m`,
    "busybox",
    "true",
  );
  assert.equal(refused.code, 125);
  assert.match(refused.stderr, /bind source path does not exist/);
  assert.ok(!existsSync(engine.path("absent")));
});

test("tmpfs, --read-only and --shm-size are what they say", async () => {
  assert.match(
    await shell("--tmpfs", "/t:size=1m,mode=700", "busybox", "sh", "-c", "df -k /t | tail -1; stat -c %a /t"),
    /1024[\s\S]*700/,
  );
  const ran = await engine.docker(
    "run",
    "--rm",
    "--read-only",
    "--tmpfs",
    "/t",
    "busybox",
    "sh",
    "-c",
    "touch /t/ok && touch /no",
  );
  assert.match(ran.stderr, /Read-only file system/);
  assert.match(await shell("--shm-size", "128m", "busybox", "df", "-k", "/dev/shm"), /131072/);
});

test("cp moves files and directories both ways, running and stopped, and never outside", async () => {
  const source = engine.path("copied");
  mkdirSync(join(source, "sub"), { recursive: true });
  writeFileSync(join(source, "sub/file"), "content");
  const id = await engine.ok("create", "busybox", "sleep", "1000");
  await engine.ok("cp", source, `${id}:/root/new`);
  await engine.ok("start", id);
  assert.equal(await engine.ok("exec", id, "cat", "/root/new/sub/file"), "content");
  await engine.ok("cp", `${id}:/root/new/sub`, engine.path("back"));
  assert.equal(readFileSync(engine.path("back/file"), "utf8"), "content");
  await engine.ok("exec", id, "ln", "-s", "/../../../../../../etc", "/root/out");
  await engine.ok("cp", join(source, "sub/file"), `${id}:/root/out/marker`);
  assert.ok(!existsSync("/etc/marker"));
  assert.equal(await engine.ok("exec", id, "cat", "/etc/marker"), "content");
  const missing = await engine.docker("cp", `${id}:/nope`, engine.path("x"));
  assert.match(missing.stderr, /Could not find the file \/nope in container/);
  await engine.ok("rm", "-f", id);
});

test("diff tells what changed, commit makes an image of it, export a tar", async () => {
  const id = await engine.ok("run", "-d", "busybox", "sh", "-c", "echo x > /new; rm /etc/group; sleep 1000");
  await until(
    "its changes are made",
    async () => (await engine.docker("exec", id, "test", "!", "-e", "/etc/group")).code === 0,
  );
  const changes = (await engine.ok("diff", id)).split("\n").sort();
  assert.deepEqual(changes, ["A /new", "C /etc", "D /etc/group"]);
  await engine.ok("commit", "-c", "CMD cat /new", id, "changed:1");
  assert.equal(await shell("changed:1"), "x");
  const listed = await run(["sh", "-c", `docker export ${id} | tar t`], { DOCKER_HOST: `unix://${engine.socket}` });
  assert.match(listed.stdout, /^new$/m);
  await engine.ok("rm", "-f", id);
  await engine.ok("rmi", "changed:1");
});

test("save and load keep the image's id; each path of the archive exists", async () => {
  const archive = engine.path("saved.tar");
  const id = await engine.inspect("busybox", "{{.Id}}");
  await engine.ok("tag", "busybox", "other/name:v1");
  await engine.ok("save", "-o", archive, "other/name:v1");
  const names = (await run(["tar", "tf", archive], {})).stdout.split("\n");
  const manifest = JSON.parse((await run(["tar", "xOf", archive, "manifest.json"], {})).stdout) as {
    Config: string;
    Layers: string[];
  }[];
  for (const path of [manifest[0]!.Config, ...manifest[0]!.Layers]) assert.ok(names.includes(path), path);
  await engine.ok("rmi", "other/name:v1");
  assert.match(await engine.ok("load", "-i", archive), /Loaded image: other\/name:v1/);
  assert.equal(await engine.inspect("other/name:v1", "{{.Id}}"), id);
  await engine.ok("rmi", "other/name:v1");
});

test("two containers of one image share its layers and have their own upper directory", async () => {
  const [a, b] = [await engine.ok("create", "busybox"), await engine.ok("create", "busybox")];
  const part = (id: string, name: string) => engine.inspect(id, `{{.GraphDriver.Data.${name}}}`);
  assert.equal(await engine.inspect(a, "{{.GraphDriver.Name}}"), "overlay2");
  assert.equal(await part(a, "LowerDir"), await part(b, "LowerDir"));
  assert.notEqual(await part(a, "UpperDir"), await part(b, "UpperDir"));
  const directory = join(engine.dataRoot, "containers", a);
  for (const file of ["config.v2.json", "hostconfig.json", "hostname", "hosts", "resolv.conf"])
    assert.ok(existsSync(join(directory, file)), file);
  await engine.ok("rm", a, b);
});

test("import makes an image of a root file system", async () => {
  const host = { DOCKER_HOST: `unix://${engine.socket}` };
  const id = await engine.ok("create", "busybox");
  const ran = await run(["sh", "-c", `docker export ${id} | docker import -c 'CMD echo imported' - flat:1`], host);
  assert.match(ran.stdout, /^sha256:/);
  assert.equal(await shell("flat:1"), "imported");
  await engine.ok("rm", id);
  await engine.ok("rmi", "flat:1");
});
