import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { processesOf, type Ran, run, TestEngine, until } from "../engine.ts";
import { root } from "../tidy/source-tree.ts";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

const context = (name: string, files: Readonly<Record<string, string>>): string => engine.directory(name, files);

type Client = "docker" | "hull";
const clients: readonly Client[] = ["docker", "hull"];

const build = (client: Client, ...args: string[]): Promise<Ran> =>
  run([client === "docker" ? "docker" : join(root, "dist/bin/hull"), "build", ...args], {
    DOCKER_HOST: `unix://${engine.socket}`,
    DOCKER_BUILDKIT: "0",
  });

const ids = (text: string): string => text.replace(/\b[0-9a-f]{12}\b/g, "ID");

for (const client of clients) {
  test(`${client} build makes an image that runs as the Dockerfile says`, async () => {
    const directory = context(`first-${client}`, {
      Dockerfile: `FROM busybox\nWORKDIR /app\nCOPY hello.txt .\nRUN echo ${client} >> hello.txt && echo done\nENV GREETING=hi\nLABEL a=b\nEXPOSE 80\nCMD cat hello.txt; echo $GREETING\n`,
      "hello.txt": "hello\n",
    });
    const built = await build(client, "-t", `first-${client}`, directory);
    assert.equal(built.code, 0, built.stderr + built.stdout);
    const said = ids(built.stdout);
    assert.match(said, /^Sending build context to Docker daemon\s+3\.\d+kB\r\r?\n/);
    assert.match(said, /Step 1\/8 : FROM busybox\n ---> ID\nStep 2\/8 : WORKDIR \/app\n/);
    assert.match(
      said,
      / ---> Running in ID\ndone\n ---> Removed intermediate container ID\n ---> ID\nStep 5\/8 : ENV GREETING=hi\n/,
    );
    assert.match(said, new RegExp(`Successfully built ID\nSuccessfully tagged first-${client}:latest\n$`));
    assert.equal(await engine.ok("run", "--rm", `first-${client}`), `hello\n${client}\nhi`);
    assert.equal(await engine.inspect(`first-${client}`, "{{.Config.WorkingDir}} {{.Config.Labels.a}}"), "/app b");
    const id = await engine.inspect(`first-${client}`, "{{.Id}}");
    assert.ok(built.stdout.includes(`Successfully built ${id.slice(7, 19)}`));
  });

  test(`${client} build shows a command's failure and ends with its exit code`, async () => {
    const directory = context(`fails-${client}`, {
      Dockerfile: "FROM busybox\nRUN echo before; exit 7\nRUN echo never\n",
    });
    const failed = await build(client, directory);
    assert.equal(failed.code, 7, failed.stdout + failed.stderr);
    assert.match(failed.stderr, /The command '\/bin\/sh -c echo before; exit 7' returned a non-zero code: 7/);
    assert.match(failed.stdout, /before\n/);
    assert.doesNotMatch(failed.stdout, /Step 3/);
  });
}

test("an image on nothing has what was copied, and nothing else; COPY --link puts a layer on whatever is below", async () => {
  const directory = context("scratch", {
    Dockerfile: "FROM scratch\nCOPY f /\n",
    "g/Dockerfile": "",
    f: "on nothing\n",
  });
  const built = await build("docker", "-t", "on-nothing", directory);
  assert.equal(built.code, 0, built.stdout + built.stderr);
  assert.equal(await engine.inspect("on-nothing", "{{len .RootFS.Layers}}"), "1");
  writeFileSync(
    join(directory, "Dockerfile"),
    "FROM busybox\nRUN mkdir /d && echo a > /d/a\nCOPY --link f /d/f\nRUN ls /d > /list\n",
  );
  const env = { DOCKER_HOST: `unix://${engine.socket}` };
  const linked = await run([join(root, "dist/bin/hull"), "build", "-t", "linked", directory], env);
  assert.equal(linked.code, 0, linked.stdout + linked.stderr);
  assert.equal(await engine.ok("run", "--rm", "linked", "cat", "/list", "/d/f"), "a\nf\non nothing");
});

test("a second build of the same context uses the cache and gives the same image", async () => {
  const directory = context("again", {
    Dockerfile: "FROM busybox\nENV A=1\nCOPY file /\nRUN date +%s%N > /when\nCMD true\n",
    file: "one",
  });
  await engine.must(build("docker", "-t", "again:1", directory));
  const second = await engine.must(build("hull", "-t", "again:2", directory));
  assert.equal(second.match(/ ---> Using cache/g)?.length, 4, second);
  assert.doesNotMatch(second, /Running in/);
  assert.equal(await engine.inspect("again:1", "{{.Id}}"), await engine.inspect("again:2", "{{.Id}}"));
  writeFileSync(join(directory, "file"), "two");
  const third = await engine.must(build("docker", "-t", "again:3", directory));
  assert.match(third, /Step 2\/5 : ENV A=1\n ---> Using cache/);
  assert.match(third, /Step 4\/5 : RUN .*\n ---> Running in/);
  assert.equal(await engine.ok("run", "--rm", "again:3", "cat", "/file"), "two");
  const fresh = await engine.must(build("docker", "--no-cache", directory));
  assert.doesNotMatch(fresh, /Using cache/);
});

test("stages: what the target does not need is not built, files come from other stages", async () => {
  const directory = context("stages", {
    Dockerfile: [
      "FROM busybox AS make",
      "ARG VERSION=none",
      'RUN mkdir /out && echo "version $VERSION" > /out/app',
      "FROM busybox AS test",
      "RUN exit 1",
      "FROM busybox AS final",
      "COPY --from=make /out/app /app",
      "CMD cat /app",
    ].join("\n"),
  });
  await engine.must(build("docker", "-t", "stages", "--build-arg", "VERSION=5", "--target", "make", directory));
  assert.equal(await engine.ok("run", "--rm", "stages", "cat", "/out/app"), "version 5");
  await engine.must(build("hull", "-t", "stages", "--build-arg", "VERSION=5", directory));
  assert.equal(await engine.ok("run", "--rm", "stages"), "version 5");
  const missing = await build("docker", "--target", "nothing", directory);
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /target stage "nothing" could not be found/);
});

test(".dockerignore keeps files out of the context, whoever sends it", async () => {
  const directory = context("ignored", {
    Dockerfile: "FROM busybox\nCOPY . /c\nCMD find /c -type f | sort\n",
    ".dockerignore": "*.log\nsecret\n!keep.log\nDockerfile\n.dockerignore\n",
    "a.log": "",
    "keep.log": "",
    "secret/key": "",
    "src/a.log": "",
    "src/main": "",
  });
  for (const client of clients) {
    await engine.must(build(client, "-t", "ignored", directory));
    assert.equal(await engine.ok("run", "--rm", "ignored"), "/c/keep.log\n/c/src/a.log\n/c/src/main");
  }
});

const wrong: readonly (readonly [what: string, dockerfile: string, message: RegExp])[] = [
  ["an unknown instruction", "FROM busybox\nRUNN x\n", /unknown instruction: RUNN/],
  ["no stage", "ARG A=1\n", /no build stage|contains no stages/],
  ["an empty file", "", /cannot be empty/],
  ["a missing image", "FROM nowhere:1\n", /nowhere/],
  ["a missing file", "FROM busybox\nCOPY absent /\n", /absent/],
  ["a path out of the context", "FROM busybox\nCOPY ../x /\n", /x/],
];

for (const [what, dockerfile, message] of wrong)
  test(`a Dockerfile with ${what} is refused with its cause`, async () => {
    const directory = context(`wrong-${what.replaceAll(" ", "-")}`, { Dockerfile: dockerfile });
    for (const client of clients) {
      const failed = await build(client, directory);
      assert.equal(failed.code, 1, `${failed.stdout}${failed.stderr}`);
      assert.match(failed.stderr, message);
    }
  });

test("a Dockerfile that is not there is named", async () => {
  const directory = context("none", { file: "x" });
  const said = await build("hull", "-f", join(directory, "Other"), directory);
  assert.match(said.stderr, /Other: no such file or directory/);
  const tar = (await engine.must(run(["sh", "-c", `tar -C ${directory} -cf - . | base64 -w0`], {}))).trim();
  const answer = await run(
    [
      "curl",
      "-s",
      "--unix-socket",
      engine.socket,
      "-H",
      "Content-Type: application/x-tar",
      "--data-binary",
      "@-",
      "http://d/build?dockerfile=Other",
    ],
    {},
    { input: Buffer.from(tar, "base64") },
  );
  assert.deepEqual(JSON.parse(answer.stdout), { message: "Cannot locate specified Dockerfile: Other" });
});

test("the Dockerfile may come on stdin, and so may the context", async () => {
  const one = await run(
    [join(root, "dist/bin/hull"), "build", "-q", "-"],
    { DOCKER_HOST: `unix://${engine.socket}` },
    { input: "FROM busybox\nCMD echo stdin\n" },
  );
  assert.equal(one.code, 0, one.stderr);
  assert.match(one.stdout, /^sha256:[0-9a-f]{64}\n$/);
  assert.equal(await engine.ok("run", "--rm", one.stdout.trim()), "stdin");
  const directory = context("stdin", { D: "FROM busybox\nCOPY f /f\nCMD cat /f\n", f: "piped" });
  const two = await run(["sh", "-c", `tar -C ${directory} -czf - . | docker build -q -t piped -f D -`], {
    DOCKER_HOST: `unix://${engine.socket}`,
    DOCKER_BUILDKIT: "0",
  });
  assert.equal(two.code, 0, two.stderr);
  assert.equal(await engine.ok("run", "--rm", "piped"), "piped");
});

test("what is saved has the hashes that its manifest names", async () => {
  const directory = context("saved", {
    Dockerfile: "FROM busybox\nCOPY f /f\nRUN ln /f /g && mkfifo /p && chmod 4755 /f\n",
    f: "x",
  });
  await engine.must(build("docker", "-t", "saved", directory));
  const out = engine.path("saved-out");
  mkdirSync(out);
  await engine.ok("save", "-o", engine.path("saved.tar"), "saved");
  await engine.must(run(["tar", "-C", out, "-xf", engine.path("saved.tar")], {}));
  const [{ Config, Layers }] = JSON.parse(readFileSync(join(out, "manifest.json"), "utf8")) as [
    { Config: string; Layers: string[] },
  ];
  const config = JSON.parse(readFileSync(join(out, Config), "utf8")) as { rootfs: { diff_ids: string[] } };
  const hashes = Layers.map(
    (layer) =>
      `sha256:${createHash("sha256")
        .update(readFileSync(join(out, layer)))
        .digest("hex")}`,
  );
  assert.deepEqual(hashes, config.rootfs.diff_ids);
  assert.equal(await engine.ok("run", "--rm", "saved", "stat", "-c", "%a %h", "/f"), "4755 2");
});

test("ADD unpacks archives through the links of what is there, COPY does not; owners and modes are as asked for", async () => {
  const directory = context("archives", {
    Dockerfile: [
      "FROM busybox",
      "RUN mkdir /real && ln -s real /link && echo app:x:70:71:::>> /etc/passwd && echo app:x:71: >> /etc/group",
      "ADD a.tgz /link/",
      "ADD a.tgz /new/deep/",
      "COPY a.tgz /link/",
      "COPY --chown=app:app in /owned/",
      "COPY in/link in/file /links/",
      "CMD cat /real/in/file /new/deep/in/file && ls /real && stat -c '%u:%g' /owned /owned/file && readlink /owned/link",
    ].join("\n"),
    "in/file": "file\n",
  });
  await engine.must(run(["sh", "-c", `cd ${directory} && ln -s file in/link && tar -czf a.tgz in`], {}));
  await engine.must(build("docker", "-t", "archives", directory));
  assert.equal(await engine.ok("run", "--rm", "archives"), "file\nfile\na.tgz\nin\n70:71\n70:71\nfile");
});

test("a client that goes ends its build; nothing of it is left", async () => {
  const directory = context("gone", { Dockerfile: "FROM busybox\nRUN echo begun; sleep 1000\n" });
  const cut = run(["timeout", "-s", "INT", "3", "docker", "build", directory], {
    DOCKER_HOST: `unix://${engine.socket}`,
    DOCKER_BUILDKIT: "0",
  });
  await cut;
  await until("the command has ended", async () => (await run(["pgrep", "-f", "^sleep 1000$"], {})).code !== 0);
});

/** The builder's process, from what the engine says. */
async function builderPid(): Promise<number> {
  const status = await run(["curl", "-s", "--unix-socket", engine.socket, "http://d/hull/v1/status"], {});
  const { daemons } = JSON.parse(status.stdout) as { daemons: { name: string; pid: number }[] };
  return daemons.find(({ name }) => name === "hull-buildkitd")?.pid ?? 0;
}

for (const signal of ["SIGKILL", "SIGTERM"] as const)
  test(`a build that loses its builder by ${signal} says so, and goes on from the cache when it is run again`, async () => {
    const file = `/begun-${signal}`;
    const dockerfile = (command: string) => `FROM busybox\nRUN echo ${signal} > ${file}\nRUN ${command}\n`;
    const directory = context(`lost-${signal}`, { Dockerfile: dockerfile("echo waiting; sleep 1001") });
    const building = build("docker", directory);
    await until("the command runs", async () => (await run(["pgrep", "-f", "^sleep 1001$"], {})).code === 0);
    process.kill(await builderPid(), signal);
    const lost = await building;
    assert.equal(lost.code, 1);
    assert.match(lost.stderr, /hull-buildkitd (ended while it built|is being stopped).*run (the build|it) again/);
    await until("the command is gone", async () => (await run(["pgrep", "-f", "^sleep 1001$"], {})).code !== 0);
    writeFileSync(join(directory, "Dockerfile"), dockerfile(`cat ${file}`));
    const again = await engine.must(build("docker", directory));
    assert.match(again, /Step 2\/3 .*\n ---> Using cache\n/);
    assert.match(again, new RegExp(`Running in [0-9a-f]{12}\n${signal}\n`));
  });

test("the cache is shown and given back", async () => {
  assert.match(await engine.ok("system", "df"), /Build Cache\s+\d+/);
  assert.match(await engine.must(engine.hull("builder", "du")), /WORKDIR \/app/);
  assert.match(await engine.must(engine.hull("builder", "prune", "-f", "-a")), /Total reclaimed space: [1-9]/);
  assert.equal(await engine.ok("run", "--rm", "stages"), "version 5");
  assert.doesNotMatch(await engine.must(build("hull", engine.path("first-hull"))), /Using cache/);
});

test("hull-buildkitd is seen while it runs, and ends with the engine", async () => {
  const status = await engine.must(
    engine.hull("engine", "status", "--exec-root", engine.execRoot, "--data-root", engine.dataRoot),
  );
  assert.match(status, /hull-buildkitd\s+\d+\s+running/);
  assert.match(await engine.must(engine.hull("system", "logs", "hull-buildkitd")), /msg="ready"|msg=ready/);
  await engine.endDaemon("SIGTERM");
  await until("all daemons have ended", () => processesOf(engine.execRoot).length === 0);
  await engine.startDaemon();
  const later = await engine.must(
    engine.hull("engine", "status", "--exec-root", engine.execRoot, "--data-root", engine.dataRoot),
  );
  assert.doesNotMatch(later, /hull-buildkitd/);
  assert.match(await engine.must(build("hull", engine.path("first-hull"))), /Using cache/);
});
