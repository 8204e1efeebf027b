import assert from "node:assert/strict";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type CacheMount, CacheMounts } from "./cache-mounts.ts";
import { ready, runVertex, scratch, TestBuilder } from "./harness.ts";
import { pathsBelow } from "./stubs.ts";

let builder: TestBuilder;
before(async () => {
  builder = await TestBuilder.open();
});
after(() => builder[Symbol.asyncDispose]());

const cache = (id: string, more: Partial<CacheMount> = {}): CacheMount => ({
  kind: "cache",
  id,
  from: undefined,
  source: "",
  target: "/cache",
  sharing: "shared",
  readOnly: false,
  mode: 0o755,
  uid: 0,
  gid: 0,
  ...more,
});

const run = (script: string, mount: CacheMount, directories: readonly string[] = []) =>
  builder.run(script, { mounts: [ready(mount, directories)] });

const namesOf = (id: string): string[] =>
  builder.caches
    .records()
    .filter(({ description }) => description.includes(id))
    .map(({ name }) => name);

test("what a command leaves in a cache the next one finds, and no layer has it", async () => {
  const first = await run("echo kept > /cache/f", cache("kept"));
  const second = await run("cat /cache/f", cache("kept", { target: "/elsewhere" })).then(() =>
    run("cat /cache/f", cache("kept")),
  );
  assert.equal(second.stdout, "kept\n");
  assert.deepEqual(
    [first, second].flatMap(({ layer }) => pathsBelow(layer.upper)),
    [],
  );
});

test("another id, mode or owner is another cache", async () => {
  await run("touch /cache/f", cache("apart"));
  for (const other of [cache("apart2"), cache("apart", { mode: 0o700 }), cache("apart", { uid: 9 })]) {
    const { stdout } = await run("ls /cache", other);
    assert.equal(stdout, "");
  }
});

test("a new cache has the mode and owner that were asked for", async () => {
  const { stdout } = await run("stat -c '%a %u %g' /cache", cache("owned", { mode: 0o1777, uid: 3, gid: 4 }));
  assert.equal(stdout, "1777 3 4\n");
});

test("a new cache begins with what its source has, merged", async () => {
  const directories = ["top", "low"].map((name) => {
    const directory = join(builder.directory, name);
    mkdirSync(join(directory, "seed"), { recursive: true });
    writeFileSync(join(directory, "seed", name), name);
    return directory;
  });
  const mount = cache("seeded", { from: scratch, source: "/seed" });
  assert.equal((await run("ls /cache; echo x > /cache/own", mount, directories)).stdout, "low\ntop\n");
  assert.equal((await run("ls /cache", mount, directories)).stdout, "low\nown\ntop\n");
  assert.deepEqual(readdirSync(join(directories[0]!, "seed")), ["top"]);
});

test("a read-only cache can't be written", async () => {
  const { stdout } = await run("touch /cache/f || echo refused", cache("ro", { readOnly: true }));
  assert.equal(stdout, "refused\n");
});

/** Runs two commands at once that wait for each other in the cache, at most so many tenths of a second. */
async function meet(mount: CacheMount, tenths: number): Promise<string[]> {
  const script = (own: string, other: string): string =>
    `touch /cache/${own}; for i in $(busybox seq ${tenths}); do [ -e /cache/${other} ] && echo met && exit; sleep 0.1; done; busybox rm -f /cache/${own}`;
  const ran = await Promise.all([run(script("a", "b"), mount), run(script("b", "a"), mount)]);
  return ran.map(({ stdout }) => stdout);
}

test("shared: commands meet in one directory", async () => {
  const met = await meet(cache("meeting"), 100);
  assert.deepEqual(met, ["met\n", "met\n"]);
  assert.equal(builder.caches.records().filter(({ usageCount }) => usageCount === 0).length, 0);
});

test("locked: one command after the other has the directory", async () => {
  assert.deepEqual(await meet(cache("one-by-one", { sharing: "locked" }), 3), ["", ""]);
});

test("private: each has a directory of its own, which is used again", async () => {
  const mount = cache("alone", { sharing: "private", target: "/alone/cache" });
  const script = "echo x >> /alone/cache/f; sleep 0.3";
  await Promise.all([run(script, mount), run(script, mount), run(script, mount)]);
  assert.equal(namesOf("/alone/cache").length, 3);
  await run(script, mount);
  assert.equal(namesOf("/alone/cache").length, 3);
});

test("a directory that a command mounts twice is there twice, also when it is locked", async () => {
  const mounts = ["/one", "/two"].map((target) => ready(cache("twice", { sharing: "locked", target })));
  const ran = await builder.run("echo x > /one/f; cat /two/f", { mounts });
  assert.equal(ran.stdout, "x\n");
});

test("who waits for a locked cache can give up", async () => {
  const mount = cache("awaited", { sharing: "locked" });
  const never = new AbortController().signal;
  const lease = await builder.caches.acquire({ mount, directories: [], description: "", signal: never });
  const abort = new AbortController();
  const waiting = builder.run(runVertex("true"), { mounts: [ready(mount)], signal: abort.signal });
  abort.abort();
  await assert.rejects(waiting, { code: "cancelled" });
  lease.release();
  assert.equal((await run("echo free", mount)).stdout, "free\n");
});

test("records are found by the next process, with sizes; what is in use is not pruned", async () => {
  await run("busybox dd if=/dev/zero of=/cache/f bs=1024 count=64 2>/dev/null", cache("sized"));
  const next = new CacheMounts(join(builder.directory, "data/buildkit/cache-mounts"), builder.keel);
  const known = (await next.list()).find(({ sizeBytes }) => sizeBytes >= 65536);
  assert.match(known!.description, /^cached mount \/cache from exec \/bin\/sh -c busybox dd/);
  assert.deepEqual([known!.usageCount, known!.inUse], [1, false]);
  const signal = new AbortController().signal;
  const lease = await next.acquire({ mount: cache("held"), directories: [], description: "held", signal });
  const pruned = await next.prune(() => true);
  assert.ok(pruned.some(({ name }) => name === known!.name));
  assert.deepEqual(
    next.records().map(({ description, inUse }) => [description, inUse]),
    [["held", true]],
  );
  assert.equal(readdirSync(join(builder.directory, "data/buildkit/cache-mounts")).length, 1);
  lease.release();
});

test("what a killed process left half made is removed at the next start", async () => {
  const root = join(builder.directory, "half");
  mkdirSync(join(root, "made/data"), { recursive: true });
  const caches = new CacheMounts(root, builder.keel);
  await caches.recover();
  assert.deepEqual(readdirSync(root), []);
});
