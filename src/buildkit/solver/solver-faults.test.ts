import assert from "node:assert/strict";
import { test } from "node:test";
import { tree } from "../files/tree-harness.ts";
import type { Vertex } from "../graph/vertex.ts";
import { Bench, context, copy, run, scratch, workdir } from "./solver-harness.ts";

function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Commands, copies between steps and from a context, merges, mounts and directories. */
function randomGraph(below: (limit: number) => number): Vertex {
  const made: Vertex[] = [scratch];
  const any = (): Vertex => made[below(made.length)]!;
  const base = { location: undefined, ignoreCache: false, platform: "linux/amd64" };
  for (let i = 0; i < 12; i++) {
    const kinds: readonly (() => Vertex)[] = [
      () => run(any(), `unique f${below(4)}; write g${i} x`),
      () => copy(any(), any(), { destination: `/d${i}/` }),
      () => copy(any(), context, { destination: `/c${i}/` }),
      () => workdir(any(), `/w${below(3)}`),
      () => ({ ...base, kind: "merge", name: `merge ${i}`, base: any(), layer: run(scratch, `unique m${i}`) }),
      () => {
        const from = below(2) === 0 ? context : any();
        const mount = { kind: "bind", from, source: "/", target: "/m", writable: false } as const;
        return run(any(), `write r${i} x`, { mounts: [mount] });
      },
    ];
    made.push(kinds[below(kinds.length)]!());
  }
  return made.reduce((graph, vertex) => copy(graph, vertex, { destination: "/all/" }));
}

test("property: the same graph solved twice runs nothing the second time and gives the same layers", async () => {
  for (let seed = 1; seed <= 25; seed++) {
    await using bench = new Bench();
    const files = tree("a", "b/c");
    const first = await bench.build([randomGraph(random(seed))], { files });
    if (seed % 2 === 0) await bench.restart();
    bench.world.ran.length = 0;
    const before = bench.world.snapshots.size;
    const second = await bench.build([randomGraph(random(seed))], { files });
    assert.deepEqual(bench.world.ran, [], `seed ${seed}`);
    assert.equal(bench.world.snapshots.size, before, `seed ${seed}`);
    assert.deepEqual(second.stacks, first.stacks, `seed ${seed}`);
    assert.equal(bench.world.open.size, 0);
  }
});

test("property: concurrent builds of a graph run every command once", async () => {
  for (let seed = 1; seed <= 10; seed++) {
    await using bench = new Bench();
    const files = tree("a", "b/c");
    const builds = Array.from({ length: 6 }, () => bench.start([randomGraph(random(seed))], { files }));
    const stacks = await Promise.all(builds.map(({ done }) => done));
    for (const stack of stacks) assert.deepEqual(stack, stacks[0], `seed ${seed}`);
    const again = await bench.build([randomGraph(random(seed))], { files });
    assert.deepEqual(again.stacks, stacks[0]);
    assert.equal(new Set(bench.cache.list().map(({ key }) => key)).size, bench.cache.list().length);
    const commits = bench.cache.list().filter(({ kind }) => kind === "run").length;
    assert.equal(bench.world.ran.length, commits, `seed ${seed}`);
  }
});

test("a builder that ends at any call of a port leaves no record of a layer that is not there, and the next one finishes", async () => {
  const graph = () => randomGraph(random(7));
  const files = tree("a", "b/c");
  let calls = 0;
  {
    await using bench = new Bench();
    bench.world.onCall = () => void calls++;
    await bench.build([graph()], { files });
  }
  for (let last = 0; last < calls; last++) {
    await using bench = new Bench();
    let left = last;
    bench.world.onCall = (name) => {
      if (left-- <= 0) throw new Error(`ended at ${name}`);
    };
    await assert.rejects(bench.build([graph()], { files }), `at call ${last}`);
    bench.world.onCall = () => undefined;
    for (const { chainId } of bench.cache.list()) {
      assert.ok(chainId === "" || bench.world.snapshots.has(chainId), `at call ${last}`);
      assert.ok(chainId === "" || bench.world.held.has(chainId), `at call ${last}`);
    }
    await bench.restart();
    const named = new Set(bench.cache.list().map(({ chainId }) => chainId));
    for (const chainId of bench.world.held) assert.ok(named.has(chainId), `at call ${last}: held for nothing`);
    bench.world.ran.length = 0;
    const kept = bench.cache.list().filter(({ kind }) => kind === "run").length;
    await bench.build([graph()], { files });
    const commands = bench.cache.list().filter(({ kind }) => kind === "run").length;
    assert.ok(bench.world.ran.length <= commands - kept, `at call ${last}: what was finished is not done again`);
  }
});
