/** What can be seen of builds: checks, reasons, history. */
import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Ran, run, TestEngine, until } from "../engine.ts";
import { root } from "../tidy/source-tree.ts";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

const context = (name: string, files: Readonly<Record<string, string>>): string => engine.directory(name, files);

const hull = (...args: string[]): Promise<Ran> => hullOn(engine, ...args);
const hullOn = (where: TestEngine, ...args: string[]): Promise<Ran> =>
  run([join(root, "dist/bin/hull"), ...args], {
    DOCKER_HOST: `unix://${where.socket}`,
    DOCKER_CONFIG: engine.path("config"),
    DOCKER_BUILDKIT: "1",
  });
const build = (...args: string[]): Promise<Ran> => hull("build", ...args);

test("a check prints its warnings, of ignored sources too, and builds nothing", async () => {
  const directory = context("checked", {
    Dockerfile: "FROM busybox AS Base\nCOPY secret.txt /\nRUN exit 1\n",
    "secret.txt": "x",
    ".dockerignore": "*.txt\n",
  });
  const checked = await build("--check", directory);
  assert.equal(checked.code, 1);
  assert.match(checked.stdout, /^Check complete, 2 warnings have been found!\n\nWARNING: StageNameCasing - https/);
  assert.ok(checked.stdout.includes(`${join(directory, "Dockerfile")}:2\n--------------------\n   1 |     FROM`));
  assert.match(checked.stdout, /Attempting to Copy file "secret.txt" that is excluded by .dockerignore\n/);
  const json = await build("--call=check,format=json,ignorestatus=true", directory);
  assert.equal(json.code, 0, json.stderr);
  assert.equal((JSON.parse(json.stdout) as { warnings: object[] }).warnings.length, 2);
  const clean = context("clean", { Dockerfile: "FROM busybox\n" });
  assert.equal((await build("--check", clean)).stdout, "Check complete, no warnings found.\n");
});

test("a check of what cannot be built fails with the place", async () => {
  const wrong = await build("--check", context("wrong", { Dockerfile: "FROM busybox\nRUNN x\n" }));
  assert.equal(wrong.code, 1);
  assert.match(
    wrong.stderr,
    /ERROR: dockerfile parse error on line 2: unknown instruction: RUNN .*\n.*Dockerfile:2\n-+\n/,
  );
});

test("outline and targets are printed", async () => {
  const directory = context("outlined", {
    Dockerfile: "ARG V=latest\n# app runs it\nFROM busybox:$V AS app\nRUN --mount=type=secret,id=t true\n",
  });
  const outline = await build("--call=outline", directory);
  assert.match(
    outline.stdout,
    /^TARGET: +app\nDESCRIPTION: runs it\n\nBUILD ARG +VALUE +DESCRIPTION\nV +latest +\n\nSECRET/,
  );
  assert.equal((await build("--call=targets", directory)).stdout, "TARGET        DESCRIPTION\napp (default) runs it\n");
});

test("a missing source is said to be ignored, or what was meant is named", async () => {
  const files = { "notes.txt": "x", "src/main.c": "y", ".dockerignore": "*.txt\n" };
  const ignored = await build(context("left-out", { ...files, Dockerfile: "FROM busybox\nCOPY notes.txt src /\n" }));
  assert.match(
    ignored.stderr,
    /"\/notes.txt": not found \(the pattern "\*\.txt" of \.dockerignore leaves it out\)/,
    ignored.stderr,
  );
  assert.match(ignored.stderr, /\n - CopyIgnoredFile: Attempting to Copy file "notes.txt" .*\(line 2\)\n/);
});

test("plain progress reads as BuildKit's", async () => {
  const directory = context("read", { Dockerfile: "FROM busybox\nCOPY a /a\n", a: "12345", ".dockerignore": "b\n" });
  const { stderr } = await build("--no-cache", "--progress", "plain", directory);
  for (const line of [
    /^#1 \[internal\] load build definition from Dockerfile\n#1 transferring dockerfile: 23B( \d\.\ds)? done\n#1 DONE/m,
    /^#\d+ \[internal\] load metadata for docker\.io\/library\/busybox:latest\n#\d+ DONE/m,
    /^#\d+ \[internal\] load \.dockerignore\n#\d+ transferring context: 2B( \d\.\ds)? done\n/m,
    /^#\d+ \[internal\] load build context\n(#\d+ transferring context:.*\n)*#\d+ transferring context: \d+B( \d\.\ds)? done\n/m,
  ])
    assert.match(stderr, line);
});

test("empty files of a context are copied with their modes", async () => {
  const directory = context("empty", {
    Dockerfile: "FROM busybox\nCOPY a /a\nRUN stat -c '%s %a %n' /a/* > /list\nCMD cat /list\n",
    "a/empty": "",
    "a/other": "",
  });
  chmodSync(join(directory, "a/other"), 0o640);
  await engine.must(build("-t", "empty", directory));
  assert.equal(await engine.ok("run", "--rm", "empty"), "0 644 /a/empty\n0 640 /a/other");
});

test("--explain-cache says of each step whether it was there, and what changed", async () => {
  const directory = context("explained", {
    Dockerfile: "FROM busybox\nCOPY in /in\nARG V=1\nRUN echo $V\nRUN true\n",
    "in/a": "a",
    "in/b": "b",
  });
  const explained = async (...args: string[]): Promise<string> => {
    const { code, stderr } = await build("--explain-cache", ...args, directory);
    assert.equal(code, 0, stderr);
    return stderr.slice(stderr.indexOf("Cache: "));
  };
  assert.match(
    await explained(),
    /^Cache: 0 of 3 steps were there\nmiss {2}\[2\/4\] COPY in \/in\n {6}it was not built before\n/,
  );
  assert.match(await explained(), /^Cache: 3 of 3 steps were there\nhit {3}\[2\/4\]/);
  assert.equal(
    await explained("--build-arg", "V=2"),
    `Cache: 1 of 3 steps were there
hit   [2/4] COPY in /in
miss  [3/4] RUN echo 2
      ARG or ENV V has changed
miss  [4/4] RUN true
      the step before it has changed: it was "RUN echo 1", is "RUN echo 2"
      ARG or ENV V has changed
`,
  );
  chmodSync(join(directory, "in/a"), 0o600);
  writeFileSync(join(directory, "in/b"), "changed");
  writeFileSync(join(directory, "in/c"), "");
  assert.match(
    await explained("--build-arg", "V=2"),
    /COPY in \/in\n {6}file in\/a: its mode was 0644, is 0600\n {6}file in\/b: its contents have changed\n {6}file in\/c is new\n/,
  );
  writeFileSync(join(directory, "Dockerfile"), "FROM busybox\nCOPY in /in\nARG V=1\nRUN echo new $V\nRUN exit 3\n");
  const failed = await build("--explain-cache", "--build-arg", "V=2", directory);
  assert.equal(failed.code, 1);
  assert.match(failed.stderr, /the instruction has changed: it was "RUN echo 2", is "RUN echo new 2"\n/);
});

const idOf = async (filter: string): Promise<string> =>
  (await engine.must(hull("builds", "ls", "-q", "--filter", filter))).split("\n")[0]!;

test("builds are listed, shown, compared, read again and removed", async () => {
  const directory = context("listed", { Dockerfile: "FROM busybox\nARG W=1\nRUN echo said $W\n" });
  await engine.must(build("-t", "listed", directory));
  await engine.must(build("-t", "listed", "--build-arg", "W=2", directory));
  const [second, first] = (await engine.must(hull("builds", "ls", "-q"))).split("\n") as [string, string];
  const listed = await engine.must(hull("builds", "ls"));
  assert.match(
    listed,
    /^BUILD ID +NAME +STATUS +STEPS +STARTED +DURATION\n\w{25} +listed +completed +\d\/\d \(1 cached\) /,
  );
  const shown = await engine.must(hull("builds", "inspect", second));
  assert.match(shown, /^Build argument: +W=2$/m);
  assert.match(shown, new RegExp(`^containerimage.config.digest: +${await engine.inspect("listed", "{{.Id}}")}$`, "m"));
  assert.match(shown, /^miss {2}\[2\/2\] RUN echo said 2\n {6}ARG or ENV W has changed$/m);
  const compared = await engine.must(hull("builds", "diff", first, second));
  assert.match(compared, /\nchanged {2}\[2\/2\] RUN echo said 2\n {6}ARG or ENV W has changed$/);
  assert.match(await engine.must(hull("builds", "logs", first.slice(0, 12))), /\n#\d+ \d\.\d{3} said 1\n/);
  await engine.must(hull("builds", "rm", first));
  const gone = await hull("builds", "inspect", first);
  assert.match(gone.stderr, /no such build/);
  assert.equal(gone.code, 1);
});

test("a build that failed is kept with its error", async () => {
  await build(context("kept", { Dockerfile: "FROM busybox\nRUN exit 9\n" }));
  const shown = await engine.must(hull("builds", "inspect", await idOf("status==error")));
  assert.match(shown, /^Status: +error$/m);
  assert.match(shown, /^Error: +process "\/bin\/sh -c exit 9" did not complete successfully: exit code: 9$/m);
});

test("a build that is under way is listed, and its classic client's too", async () => {
  const directory = context("slow", { Dockerfile: "FROM busybox\nRUN sleep 3\n" });
  const building = build(directory);
  await until(
    () => "the build is listed as running",
    async () => (await idOf("status==running")) !== "",
  );
  await engine.must(building);
  await engine.must(
    run(["docker", "build", directory], { DOCKER_HOST: `unix://${engine.socket}`, DOCKER_BUILDKIT: "0" }),
  );
  assert.match(await engine.must(hull("builds", "ls", "-q")), /^classic-/);
});

test("a build is one trace from the command to the kernel's operations", async () => {
  await engine.must(build("--no-cache", context("traced", { Dockerfile: "FROM busybox\nRUN true\n" })));
  const id = (await engine.must(hull("builds", "inspect", "--format", "{{.Trace}}"))).trim();
  const stdout = await engine.must(hull("trace", "--all", id));
  for (const part of [
    / hull +hull build/,
    /hull-buildkitd +build/,
    /hull-buildkitd +\[2\/2\] RUN true/,
    /keel +pivotRoot/,
  ])
    assert.match(stdout, part);
});

test("builds wait for a slot, and are given more by a reload; what the daemon does not allow is refused", async () => {
  const file = engine.path("daemon.json");
  const configure = (settings: object): void => writeFileSync(file, JSON.stringify(settings));
  configure({ "max-concurrent-builds": 1 });
  await using other = await TestEngine.start({ args: ["--config-file", file] });
  const statuses = async (): Promise<string[]> =>
    (await hullOn(other, "builds", "ls", "--format", "{{.Status}}")).stdout.trim().split("\n").sort();
  const directories = ["one", "two"].map((name) =>
    context(`slots-${name}`, { Dockerfile: `FROM busybox\nRUN echo ${name}; sleep 4\n` }),
  );
  const building = directories.map((directory) => hullOn(other, "build", directory));
  await until(
    () => "one build runs, the other waits",
    async () => {
      const [first, second] = await statuses();
      return first === "running" && /^waiting for a build slot, \d ahead$/.test(second ?? "");
    },
  );
  configure({ "max-concurrent-builds": 2, builder: { entitlements: { "network-host": false } } });
  process.kill(other.daemonPid, "SIGHUP");
  await until(
    () => "both run",
    async () => (await statuses()).join() === "running,running",
  );
  for (const ran of await Promise.all(building)) assert.equal(ran.code, 0, ran.stderr);
  const refused = await hullOn(other, "build", "--network", "host", directories[0]!);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /granting entitlement network\.host is not allowed by build daemon configuration/);
  const insecure = context("insecure", { Dockerfile: "FROM busybox\nRUN --security=insecure true\n" });
  assert.match((await build(insecure)).stderr, /security\.insecure is not allowed/);
  assert.match(
    (await build("--allow", "security.insecure", insecure)).stderr,
    /granting entitlement security\.insecure is not allowed/,
  );
});

test("--explain-context says what travels, what is left out by which pattern, and what nothing uses", async () => {
  const directory = context("left", {
    Dockerfile: "FROM busybox\nCOPY src /src\n",
    ".dockerignore": "**/*.log\n",
    "src/a": "12345",
    "src/b.log": "1234567",
    other: "123",
  });
  const { stderr } = await build("--explain-context", directory);
  assert.match(stderr, /\nBuild context: 5B in 1 file\n/);
  assert.match(
    stderr,
    /\nLeft out by the ignore file:\n +7B {2}\*\*\/\*\.log \(1 file\)\nUsed by no instruction, so not sent: \d+B in 3 files\n$/,
  );
});
