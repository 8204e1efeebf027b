import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { file, tree } from "../files/tree-harness.ts";
import type { Vertex } from "../graph/vertex.ts";
import { openCache } from "./cache.ts";
import { StepError } from "./failure.ts";
import { PRUNE_NOTHING_ELSE, prune } from "./prune.ts";
import { Bench, context, copy, logOf, run, scratch, story, until, workdir } from "./solver-harness.ts";

const ending = (path: string): string[] => readdirSync(path);

test("independent steps run at the same time", async () => {
  await using bench = new Bench();
  const stages = Array.from({ length: 8 }, (_, i) => run(scratch, `wait all; write ${i} x`));
  const build = bench.start([stages.reduce<Vertex>((base, stage) => copy(base, stage), scratch)]);
  await until(() => bench.world.ran.length === 8);
  bench.world.gate("all").resolve();
  await build.done;
});

test("equal steps of concurrent builds run once, and who joins later hears everything", async () => {
  await using bench = new Bench();
  const step = () => run(scratch, "say one; say two; wait go; say three; write a b");
  const first = bench.start([step()]);
  await until(() => logOf(first) === "onetwo");
  const second = bench.start([run(step(), "write c d")]);
  await until(() => logOf(second) === "onetwo");
  bench.world.gate("go").resolve();
  const [[stack], [onTop]] = await Promise.all([first.done, second.done]);
  assert.deepEqual(bench.world.ran, ["say one; say two; wait go; say three; write a b", "write c d"]);
  assert.equal(onTop!.layers[0]!.diffId, stack!.layers[0]!.diffId);
  assert.equal(logOf(first), "onetwothree");
  assert.equal(logOf(second), "onetwothree");
  for (const build of [first, second])
    assert.equal(story(build)[2], "started RUN say one; say two; wait go; say three; write a b");
  await until(() => ending(join(bench.world.directory, "logs")).length === 0);
});

test("a build that gives up leaves the step to the other; when the last gives up it is undone", async () => {
  await using bench = new Bench();
  const step = () => run(scratch, "wait go; write a b");
  const [first, second] = [bench.start([step()]), bench.start([step()])];
  await until(() => bench.world.ran.length === 1 && story(second).length > 2);
  first.abort.abort();
  await assert.rejects(first.done, { code: "cancelled" });
  assert.ok(story(first).includes("completed RUN wait go; write a b: context canceled"));
  bench.world.gate("go").resolve();
  assert.equal((await second.done)[0]!.layers.length, 1);

  const third = bench.start([run(scratch, "wait never")]);
  await until(() => bench.world.ran.length === 2);
  third.abort.abort();
  await assert.rejects(third.done, { code: "cancelled" });
  assert.equal(bench.world.open.size, 0);
  assert.equal(bench.cache.list().length, 1);
});

test("a step that was given up does not keep a new build from doing it", async () => {
  await using bench = new Bench();
  const first = bench.start([run(scratch, "wait go")]);
  await until(() => bench.world.ran.length === 1);
  first.abort.abort();
  const second = bench.start([run(scratch, "wait go")]);
  bench.world.gate("go").resolve();
  await second.done;
  await assert.rejects(first.done, { code: "cancelled" });
});

const failures = [
  ["buildkit", `process "/bin/sh -c exit 2" did not complete successfully: exit code: 2`],
  ["classic", "The command '/bin/sh -c exit 2' returned a non-zero code: 2"],
] as const;

for (const [dialect, message] of failures)
  test(`a failed step ends the build with one error in the words of ${dialect}, and what else runs is given up`, async () => {
    await using bench = new Bench();
    const failing = run(scratch, "exit 2");
    const build = bench.start([run(failing, "write never x"), run(scratch, "wait never")], { dialect });
    const error = await build.done.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    assert.ok(error instanceof StepError);
    assert.equal(error.message, message);
    assert.equal(error.exitCode, 2);
    assert.equal(error.vertex, failing);
    assert.ok(story(build).includes(`completed RUN exit 2: ${message}`));
    assert.ok(!story(build).some((line) => line.includes("write never")));
    assert.equal(bench.world.open.size, 0);
    assert.deepEqual(bench.cache.list(), []);
  });

test("a failure of a shared step is told to every build in its own words", async () => {
  await using bench = new Bench();
  const step = () => run(scratch, "say oh; wait go; exit 3");
  const builds = [bench.start([step()]), bench.start([step()], { dialect: "classic" })];
  await until(() => builds.every((build) => logOf(build) === "oh"));
  bench.world.gate("go").resolve();
  await assert.rejects(builds[0]!.done, { message: /did not complete successfully: exit code: 3/ });
  await assert.rejects(builds[1]!.done, { message: /returned a non-zero code: 3/ });
});

test("the second build of a graph takes everything from the cache, also after a restart", async () => {
  await using bench = new Bench();
  const files = tree("a", "b/c");
  const graph = () => run(copy(run(scratch, "unique x"), run(copy(scratch, context), "unique y")), "unique z");
  const first = await bench.build([graph()], { files });
  bench.world.ran.length = 0;
  for (const again of ["same process", "new process"]) {
    const second = await bench.build([graph()], { files });
    assert.deepEqual(bench.world.ran, [], again);
    assert.deepEqual(second.stacks, first.stacks);
    const ends = story(second).filter((line) => line.startsWith("completed RUN"));
    assert.equal(ends.length, 3);
    assert.ok(ends.every((line) => line.endsWith(" cached")));
    await bench.restart();
  }
});

test("a copy is known by the contents it selects, never by times or by what it leaves", async () => {
  await using bench = new Bench();
  const graph = () => run(copy(scratch, context, { sources: ["/src"], destination: "/app/" }), "write built x");
  await bench.build([graph()], { files: tree("src/a", "other") });
  const later = tree({ ...file("src/a"), mtimeNs: 5n }, file("other", { bytes: "changed" }));
  await bench.build([graph()], { files: later });
  assert.equal(bench.world.ran.length, 1);
  await bench.build([graph()], { files: tree(file("src/a", { mode: 0o755 })) });
  assert.equal(bench.world.ran.length, 2);
  await bench.build([graph()], { files: tree(file("src/a", { bytes: "new" })) });
  assert.equal(bench.world.ran.length, 3);
});

test("a stage that changed but gives the same files leaves later steps in the cache", async () => {
  await using bench = new Bench();
  const graph = (version: string) =>
    run(copy(scratch, run(scratch, `write noise ${version}; write out same`), { sources: ["/out"] }), "write last x");
  await bench.build([graph("1")]);
  const second = await bench.build([graph("2")]);
  assert.deepEqual(bench.world.ran, ["write noise 1; write out same", "write last x", "write noise 2; write out same"]);
  assert.ok(story(second).includes("completed RUN write last x cached"));
});

test("a stage that is made anew and has other files gives its copies other keys", async () => {
  await using bench = new Bench();
  const stage = (ignoreCache = false) => run(scratch, "unique out", { ignoreCache });
  const graph = (ignoreCache = false) => run(copy(scratch, stage(ignoreCache)), "write last x");
  const rebuild = [
    async () => prune(bench.cache, { policy: PRUNE_NOTHING_ELSE, disk: bench.solver.disk(), nowMs: Date.now() + 1 }),
    async () => bench.world.snapshots.clear(),
    async () => bench.build([graph(true)]),
  ];
  for (const lose of rebuild) {
    await bench.build([graph()]);
    await lose();
    const [stack] = (await bench.build([graph()])).stacks;
    const [made] = (await bench.build([stage()])).stacks;
    const copied = bench.world.filesOf(stack!).find(({ path }) => path === "out");
    assert.equal(copied!.sha256, bench.world.filesOf(made!)[0]!.sha256);
    const rows = bench.cache.list().filter(({ kind }) => kind === "copy");
    const contents = rows.map(
      ({ chainId, content }) => `${bench.world.snapshots.get(chainId)?.files.get("out")?.sha256} ${content}`,
    );
    assert.equal(new Set(contents).size, new Set(rows.map(({ content }) => content)).size);
  }
});

test("every target is told as solved once, the first time and from the cache", async () => {
  await using bench = new Bench();
  const stage = run(scratch, "write out x");
  const targets = [scratch, stage, copy(scratch, stage), run(copy(scratch, stage), "write last x")];
  for (const time of ["first", "second"]) {
    const told: Vertex[] = [];
    const onSolved = (vertex: Vertex) => void told.push(vertex);
    await bench.build(targets, { onSolved });
    assert.deepEqual(told.map(({ name }) => name).sort(), targets.map(({ name }) => name).sort(), time);
  }
});

test("no more builds work at once than are allowed; one that waits says so", async () => {
  await using bench = new Bench(1);
  const first = bench.start([run(scratch, "wait go")]);
  await until(() => bench.world.ran.length === 1);
  const second = bench.start([run(scratch, "write a b")]);
  await until(() => second.events.some(({ kind }) => kind === "waiting"));
  assert.equal(story(second).at(-1), "completed scratch cached");
  bench.world.gate("go").resolve();
  await Promise.all([first.done, second.done]);
});

test("a step that outlives the build that began it keeps that build's contexts", async () => {
  await using bench = new Bench();
  let kept = 0;
  const retain = () => {
    kept++;
    return { [Symbol.dispose]: () => void kept-- };
  };
  const first = bench.start([run(scratch, "wait go")], { retain });
  const second = bench.start([run(scratch, "wait go")]);
  await until(() => bench.world.ran.length === 1 && story(second).length > 2);
  first.abort.abort();
  await assert.rejects(first.done);
  assert.equal(kept, 1);
  bench.world.gate("go").resolve();
  await second.done;
  assert.equal(kept, 0);
});

test("a file that is missing is the copy's failure, whoever waits for it", async () => {
  await using bench = new Bench();
  const wrong = copy(scratch, context, { sources: ["/missing"], name: "COPY missing /" });
  const build = bench.start([run(wrong, "write a b")], { files: tree("there") });
  const error = await build.done.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof StepError);
  assert.equal(error.vertex, wrong);
  assert.equal(error.code, "not-found");
  assert.equal(story(build).at(-1), `completed COPY missing /: ${error.message}`);
});

test("a bind mount's contents are part of a command's key, its limits, proxies and addresses of hosts are not", async () => {
  await using bench = new Bench();
  const mount = { kind: "bind", from: context, source: "/in", target: "/in", writable: false } as const;
  const graph = (more = {}) => run(scratch, "write out x", { mounts: [mount], ...more });
  const files = tree("in/a", "other");
  await bench.build([graph()], { files });
  await bench.build([graph({ uncachedEnv: ["HTTP_PROXY=x"] })], { files: tree("in/a") });
  await bench.build([graph({ limits: { ...graph().limits, memoryBytes: 5 } })], { files });
  assert.equal(bench.world.ran.length, 1);
  const hosts = [["a:1.1.1.1"], ["a:2.2.2.2"]];
  for (const extraHosts of hosts) await bench.build([graph({ extraHosts })], { files });
  assert.equal(bench.world.ran.length, 2);
  await bench.build([graph()], { files: tree(file("in/a", { bytes: "changed" })) });
  assert.equal(bench.world.ran.length, 3);
});

test("without cache a step runs and its result is what the next build takes, with all that stands on it", async () => {
  await using bench = new Bench();
  const graph = (ignoreCache = false) => run(run(scratch, "unique a", { ignoreCache }), "unique b");
  const first = await bench.build([graph()]);
  const fresh = await bench.build([graph(true)]);
  assert.deepEqual(bench.world.ran, ["unique a", "unique b", "unique a", "unique b"]);
  assert.notEqual(fresh.stacks[0]!.chainId, first.stacks[0]!.chainId);
  const third = await bench.build([graph()]);
  assert.equal(bench.world.ran.length, 4);
  assert.equal(third.stacks[0]!.chainId, fresh.stacks[0]!.chainId);
});

test("a result whose layers have gone is not believed", async () => {
  await using bench = new Bench();
  await bench.build([run(scratch, "write a b")]);
  bench.world.snapshots.clear();
  await bench.build([run(scratch, "write a b")]);
  assert.equal(bench.world.ran.length, 2);
  assert.deepEqual([...bench.world.held], [...bench.world.snapshots.keys()]);
});

test("a secret is asked of whichever build is there", async () => {
  await using bench = new Bench();
  const step = () => run(scratch, "wait go; secret token out");
  const first = bench.start([step()]);
  await until(() => bench.world.ran.length === 1);
  const secrets = { secret: async () => Buffer.from("found"), sshAgent: async () => undefined };
  const second = bench.start([step()], { secrets });
  await until(() => story(second).length > 2);
  first.abort.abort();
  bench.world.gate("go").resolve();
  const [stack] = await second.done;
  assert.equal(bench.world.filesOf(stack!)[0]!.sha256, file("x", { bytes: "found" }).sha256);
  await assert.rejects(first.done);
});

test("a missed step says what changed", async () => {
  await using bench = new Bench();
  const project = "p";
  const graph = (command: string, env: readonly string[]) => {
    const copied = copy(scratch, context, { name: "[build 1/2] COPY . /" });
    return run(copied, command, { name: "[build 2/2] RUN", env });
  };
  const reasons = async (graph: Vertex, files = tree("a", "b")) =>
    (await bench.build([graph], { files, project })).explanations.map(({ reasons }) => reasons.join());
  assert.deepEqual(await reasons(graph("x", ["V=1"])), ["it was not built before", "it was not built before"]);
  assert.deepEqual(await reasons(graph("x", ["V=2"])), ["ARG or ENV V has changed", ""]);
  assert.deepEqual(await reasons(graph("y", ["V=2"])), ["the instruction has changed", ""]);
  const changed = tree("a", file("b", { bytes: "new" }), "c");
  assert.deepEqual(await reasons(graph("y", ["V=2"]), changed), [
    'the step before it has changed: "COPY . /"',
    "file b: its contents have changed,file c is new",
  ]);
});

test("a chain of thousands of steps is no deeper than others", async () => {
  await using bench = new Bench();
  const graph = () => Array.from({ length: 3000 }).reduce<Vertex>((base, _, i) => workdir(base, "/", `${i}`), scratch);
  await bench.build([graph()]);
  const { events } = await bench.build([graph()]);
  assert.equal(events.filter((event) => event.kind === "completed" && event.cached).length, 3001);
});

test("a cache of another schema is refused and left alone", async () => {
  await using bench = new Bench();
  const path = join(bench.world.directory, "other.db");
  const sql = new DatabaseSync(path);
  sql.exec("PRAGMA user_version=99");
  sql.close();
  const { layers, holds } = bench.world;
  assert.throws(() => openCache({ path, layers, holds, warn: assert.fail }), { code: "failed-precondition" });
});

test("what the classic builder's copies took is hashed once, also for concurrent builds, and known without reading afterwards", async () => {
  await using bench = new Bench();
  const classic = { dialect: "classic", sources: ["d"] } as const;
  const files = tree("d/a", "d/b");
  let reads = 0;
  bench.world.onCall = (name) => {
    if (name === "hashAfter") reads++;
  };
  const contents: string[] = [];
  const options = { files, onSolved: (_: Vertex, { content }: { content: string }) => void contents.push(content) };
  const target = copy(scratch, context, classic);
  await Promise.all([bench.build([target], options), bench.build([target], options)]);
  const staged = copy(scratch, run(scratch, "write d x"), { dialect: "classic", sources: ["d"] });
  await bench.build([staged], options);
  await bench.restart();
  await bench.build([target], options);
  await bench.build([staged], options);
  await bench.build([copy(scratch, context, { sources: ["d"] })], options);
  assert.equal(reads, 2);
  const hashes = contents.filter((content) => content !== "");
  assert.equal(hashes.length, 5, contents.join(" "));
  assert.match(hashes[0]!, /^dir:[0-9a-f]{64}$/);
  assert.match(hashes[2]!, /^file:[0-9a-f]{64}$/);
  assert.deepEqual(hashes, [hashes[0], hashes[0], hashes[2], hashes[0], hashes[2]]);
});
