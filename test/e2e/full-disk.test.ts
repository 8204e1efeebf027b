import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { TestEngine } from "../engine.ts";
import { noSpace, SmallDisk } from "../small-disk.ts";

const DISK_BYTES = 96 * 1024 * 1024;
const disk = new SmallDisk(DISK_BYTES);
let engine: TestEngine | undefined;

before(async () => {
  if (disk.whyNot === "") engine = await TestEngine.start({ dataRoot: join(disk.path, "data") });
});

after(async () => {
  disk.empty();
  await engine?.[Symbol.asyncDispose]();
  disk[Symbol.dispose]();
});

test("a full data root: writes are refused in clear words, the earlier state is intact, and with room all works again", async (t: TestContext) => {
  if (engine === undefined) return t.skip(`no small file system here: ${disk.whyNot}`);
  const running = await engine.ok("run", "-d", "--name", "before", "busybox", "sleep", "1000");
  await engine.ok("create", "--name", "idle", "busybox", "true");
  await engine.ok("volume", "create", "kept");
  const archive = join(disk.directory, "busybox.tar");
  await engine.ok("save", "-o", archive, "busybox");
  await engine.ok("tag", "busybox", "other");
  const list = "{{.ID}} {{.Names}} {{.State}}";
  const state = async () => [
    await engine!.ok("ps", "-a", "--no-trunc", "--format", list),
    await engine!.ok("volume", "ls", "-q"),
    await engine!.ok("images", "-q"),
  ];
  const was = await state();
  const pid = await engine.inspect(running, "{{.State.Pid}}");
  const refused: readonly (readonly string[])[] = [
    ["create", "--name", "never", "busybox", "true"],
    ["rename", "idle", "renamed"],
    ["volume", "create", "never"],
    ["load", "-i", archive],
    ["network", "create", "never"],
    ["run", "--rm", "-v", "anew:/data", "busybox", "true"],
  ];
  for (const args of refused) {
    disk.fill();
    const ran = await engine.docker(...args);
    assert.notEqual(ran.code, 0, `${args.join(" ")} succeeded`);
    assert.match(ran.stderr, noSpace, args.join(" "));
    assert.deepEqual(await state(), was, args.join(" "));
  }
  assert.equal(await engine.ok("exec", running, "echo", "here"), "here");
  await engine.endDaemon("SIGKILL");
  disk.fill();
  await engine.startDaemon();
  assert.deepEqual(await state(), was, "a new hulld on the full disk");
  assert.equal(await engine.inspect(running, "{{.State.Pid}}"), pid);
  disk.empty();
  await engine.ok("rename", "idle", "renamed");
  await engine.ok("volume", "create", "after");
  await engine.ok("network", "create", "after");
  await engine.ok("load", "-i", archive);
  assert.equal(await engine.ok("run", "--rm", "-v", "anew:/data", "busybox", "echo", "again"), "again");
  await engine.ok("network", "rm", "after");
  await engine.ok("volume", "rm", "after", "anew", "kept");
});

test("on a full data root what ends or goes is recorded, also for the hulld that comes next", async (t: TestContext) => {
  if (engine === undefined) return t.skip(`no small file system here: ${disk.whyNot}`);
  const wait = ["--restart", "unless-stopped", "busybox", "sleep", "1000"];
  const [stops, killed, removed] = [
    await engine.ok("run", "-d", "--name", "stops", ...wait),
    await engine.ok("run", "-d", "--name", "killed", ...wait),
    await engine.ok("run", "-d", "--name", "removed", "-v", "goes:/data", "--network", "none", ...wait),
  ];
  const ends = await engine.ok(
    "run",
    "-d",
    "--name",
    "ends",
    "busybox",
    "sh",
    "-c",
    "trap 'exit 3' TERM; while :; do sleep 0.1; done",
  );
  await engine.ok("run", "-d", "--name", "leaves", "-v", "/data", "busybox", "sleep", "1000");
  await engine.ok("kill", "leaves");
  const left = await engine.inspect("leaves", "{{(index .Mounts 0).Name}}");
  const own = await engine.ok("run", "-d", "--name", "own", "--rm", "busybox", "sleep", "1000");
  await engine.ok("network", "create", "goes");
  await engine.ok("create", "--name", "pruned", "--label", "prune=me", "--network", "goes", "busybox");
  await engine.ok("tag", "busybox", "spare");
  const reducing: readonly (readonly string[])[] = [
    ["stop", "-t", "0", stops],
    ["kill", killed],
    ["rm", "-f", removed],
    ["rm", "leaves"],
    ["kill", "-s", "TERM", ends],
    ["stop", "-t", "0", own],
    ["container", "prune", "-f", "--filter", "label=prune=me"],
    ["network", "rm", "goes"],
    ["volume", "rm", "goes"],
    ["rmi", "spare"],
  ];
  for (const args of reducing) {
    disk.fill();
    await engine.ok(...args);
  }
  assert.equal(await engine.ok("wait", ends), "3");
  const expected = { stops: "exited 137", killed: "exited 137", ends: "exited 3" };
  const isRight = async (when: string) => {
    for (const [name, state] of Object.entries(expected))
      assert.equal(await engine!.inspect(name, "{{.State.Status}} {{.State.ExitCode}}"), state, `${name} ${when}`);
    for (const name of ["removed", "leaves", "own", "pruned"])
      assert.equal((await engine!.docker("inspect", name)).code, 1, `${name} ${when}`);
    const networks = await engine!.ok("network", "ls", "--format", "{{.Name}}");
    assert.doesNotMatch(networks, /goes/, when);
    assert.equal(await engine!.ok("volume", "ls", "-q", "--filter", "name=goes"), "", when);
    assert.equal(
      await engine!.ok("volume", "ls", "-q", "--filter", `name=${left}`),
      left,
      `without -v it stays ${when}`,
    );
    assert.equal(await engine!.ok("images", "-q", "spare"), "", when);
  };
  await isRight("at once");
  await engine.endDaemon("SIGKILL");
  disk.fill();
  await engine.startDaemon();
  await isRight("in a new hulld on the full disk");
  disk.fill();
  await engine.endDaemon("SIGTERM");
  await engine.startDaemon();
  await isRight("in a new engine on the full disk");
  disk.empty();
  await isRight("with room");
  await engine.ok("start", "ends");
  await engine.ok("rm", "-f", "stops", "killed", "ends");
  await engine.ok("volume", "rm", left);
  assert.equal(await engine.ok("run", "--rm", "busybox", "echo", "again"), "again");
});
