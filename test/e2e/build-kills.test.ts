/** Builds whose daemons are killed: the client is told or the build goes on, what was finished is used, what was not never is. */
import assert from "node:assert/strict";
import { type FSWatcher, watch } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { type Ran, TestEngine, until } from "../engine.ts";
import {
  type Building,
  beginBuild,
  type Client,
  cachedSteps,
  clients,
  filesOf,
  finishedSteps,
  makeProject,
  remains,
  type UsedBytes,
  usedBytes,
} from "../killed-builds.ts";
import { Random } from "../random.ts";
import { childNamed, daemon } from "../survivors.ts";

/** The seed decides when, and reproduces a run as far as the machine does. */
const seed = Number(process.env.HULL_FAULT_SEED ?? Math.floor(Math.random() * 2 ** 31));
/** A hundred times as many for a long run: HULL_BUILD_KILLS=100. */
const times = Number(process.env.HULL_BUILD_KILLS ?? 1);
const KILLS = 50 * times;
const BOUNDARIES = 12;
/** Images that are saved together. */
const COMPARED_AT_ONCE = 10;
const OTHER_KILLS = 1 * times;
/** Directories that have grown do not shrink. */
const SLACK_BYTES = 1 << 20;
/** Of the whole file, but for a long run. */
const TIMEOUT_MS = 150_000 * times;

let engine: TestEngine;
let project: string;
let expected: readonly Record<string, string>[];
let baseline: { readonly remains: readonly string[]; readonly bytes: UsedBytes };
let usualMs: number;
/** Images that were not compared yet. */
const made: string[] = [];
const counted: string[] = [];
let rounds = 0;
const random = new Random(seed);

before(async () => {
  engine = await TestEngine.start();
  project = makeProject(engine);
  const first = beginBuild(engine, { client: "docker", directory: project, round: "0", args: ["--no-cache"] });
  assert.equal((await first.ended).code, 0, first.said());
  [expected] = (await filesOf(engine, ["killed:latest"])) as [typeof expected];
  await empty();
  await settled();
  baseline = { remains: remains(engine), bytes: usedBytes(engine) };
  const began = performance.now();
  await again("hull", "usual");
  usualMs = performance.now() - began;
});

afterEach(() => assertFiles());
after(async () => {
  await engine[Symbol.asyncDispose]();
});

async function empty(): Promise<void> {
  await engine.docker("rmi", "-f", "killed", tagOf("usual"), ...counted);
  await engine.ok("image", "prune", "-f");
  await engine.must(engine.hull("builder", "prune", "-a", "-f"));
}

/** What has been let go of is collected a moment later. */
async function settled(): Promise<void> {
  for (let [before, since] = ["", 0]; since < 20; ) {
    const now = remains(engine).join();
    [before, since] = [now, now === before ? since + 1 : 0];
    await delay(50);
  }
}

const tagOf = (round: string): string => `killed:${round}`;

const begin = (client: Client, round: string): Building =>
  beginBuild(engine, { client, directory: project, round, tag: tagOf(round) });

async function again(client: Client, round: string): Promise<Building> {
  const building = begin(client, round);
  const ran = await building.ended;
  assert.equal(ran.code, 0, `the build that was run again failed:\n${building.said()}`);
  return building;
}

const clear = /hull-buildkitd (?:ended|is being stopped|has ended|or hulld ended)\b.*\bagain/;

/** It failed and says why and what to do, or it was not hurt. */
function assertToldOrDone({ code, stdout, stderr }: Ran, words: RegExp): void {
  if (code !== 0) assert.match(stderr + stdout, words);
}

/** What had been finished is not done again, and the image is the one that a build from nothing makes. */
async function assertGoesOn(client: Client, round: string, lost: Building): Promise<void> {
  const finished = finishedSteps(lost.said(), client);
  const second = await again(client, round);
  const cached = cachedSteps(second.said(), client);
  const anew = [...finished].filter((step) => !cached.has(step));
  assert.deepEqual(anew, [], `done anew:\n${lost.said()}\n-- again --\n${second.said()}`);
  made.push(tagOf(round));
  if (made.length === COMPARED_AT_ONCE) await assertFiles();
}

/** Of what was made since the last time. */
async function assertFiles(): Promise<void> {
  const names = made.splice(0);
  if (names.length === 0) return;
  for (const [i, files] of (await filesOf(engine, names)).entries()) assert.deepEqual(files, expected, names[i]);
  await engine.ok("rmi", "-f", ...names);
}

function kill(pid: number): void {
  process.kill(pid, "SIGKILL");
}

/** The builder's, if one runs at this moment. */
function killBuilder(): boolean {
  try {
    kill(daemon(engine, "hull-buildkitd"));
    return true;
  } catch {
    return false; // It is just being started.
  }
}

test(`hull-buildkitd is killed at ${KILLS} random points of builds (HULL_FAULT_SEED=${seed})`, {
  timeout: TIMEOUT_MS,
}, async () => {
  for (let kills = 0; kills < KILLS; ) {
    const client = clients[kills % clients.length]!;
    const round = `random-${rounds++}`;
    const lost = begin(client, round);
    await delay(random.below(usualMs));
    if (killBuilder()) kills++;
    assertToldOrDone(await lost.ended, clear);
    await assertGoesOn(client, round, lost);
  }
});

/** Calls back at each change of what a build's steps change: their layers, and the records of their results. */
function watchSteps(onChange: (count: number) => void): Disposable {
  let count = 0;
  const records = join(engine.dataRoot, "buildkit");
  const watchers: FSWatcher[] = [
    watch(join(engine.dataRoot, "overlay2"), () => onChange(++count)),
    watch(records, (_, name) => {
      if (name?.startsWith("cache.db")) onChange(++count);
    }),
  ];
  return {
    [Symbol.dispose]: () => {
      for (const watcher of watchers) watcher.close();
    },
  };
}

test("hull-buildkitd is killed when a layer is begun or named, or a result recorded", {
  timeout: TIMEOUT_MS,
}, async () => {
  let changes = 0;
  {
    using _watch = watchSteps((count) => {
      changes = count;
    });
    const round = `counted-${rounds++}`;
    counted.push(tagOf(round));
    await again("hull", round);
  }
  assert.ok(changes > BOUNDARIES / 2, `${changes} changes were seen`);
  for (let i = 0; i < BOUNDARIES * times; i++) {
    const client = clients[i % clients.length]!;
    const round = `boundary-${rounds++}`;
    const wanted = 1 + Math.floor((i % BOUNDARIES) * (changes / BOUNDARIES));
    let isKilled = false;
    using watched = watchSteps((count) => {
      if (count >= wanted && !isKilled) isKilled = killBuilder();
    });
    const lost = begin(client, round);
    assertToldOrDone(await lost.ended, clear);
    watched[Symbol.dispose]();
    await assertGoesOn(client, round, lost);
  }
});

function killKeel(name: string): void {
  try {
    kill(childNamed(daemon(engine, name), "keel-serve"));
  } catch {
    // It is just being started.
  }
}

const others: readonly (readonly [name: string, kill: () => Promise<void>, words: RegExp])[] = [
  [
    "hulld",
    async () => {
      await engine.endDaemon("SIGKILL");
      await engine.startDaemon();
    },
    /EOF|connection|during connect|Cannot connect|hulld ended .*again/,
  ],
  ["hull-containerd", async () => kill(daemon(engine, "hull-containerd")), /hull-containerd .*again/],
  ["keel of hull-buildkitd", async () => killKeel("hull-buildkitd"), /(?:keel|hull-containerd) .*again/],
  ["keel of hull-containerd", async () => killKeel("hull-containerd"), /(?:keel|hull-containerd) .*again/],
];

for (const [name, killIt, words] of others)
  test(`${name} is killed in the middle of builds`, { timeout: TIMEOUT_MS }, async () => {
    for (let i = 0; i < OTHER_KILLS * clients.length; i++) {
      const client = clients[i % clients.length]!;
      const round = `other-${rounds++}`;
      const lost = begin(client, round);
      await delay(random.below(usualMs));
      await killIt();
      assertToldOrDone(await lost.ended, words);
      await until("all daemons work", async () => (await engine.docker("images")).code === 0);
      await assertGoesOn(client, round, lost);
    }
  });

test("a client is killed in the middle of its build", { timeout: TIMEOUT_MS }, async () => {
  for (let i = 0; i < OTHER_KILLS * clients.length; i++) {
    const client = clients[i % clients.length]!;
    const round = `client-${rounds++}`;
    const lost = begin(client, round);
    await delay(random.below(usualMs));
    lost.end("SIGKILL");
    await lost.ended;
    await assertGoesOn(client, round, lost);
  }
});

test("after all that nothing is left, and the space is given back", { timeout: TIMEOUT_MS }, async () => {
  // What a client asked for that went in the middle may be there until the builder's next start.
  killBuilder();
  await empty();
  await settled();
  const anew = remains(engine).filter((path) => !baseline.remains.includes(path));
  assert.deepEqual(anew, []);
  const now = usedBytes(engine);
  assert.ok(now.sum - baseline.bytes.sum < SLACK_BYTES, `${baseline.bytes.listing}\nbecame\n${now.listing}`);
});
