import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { TestEngine, until } from "../engine.ts";
import { Random } from "../random.ts";

/** SIGKILLs of hulld; the seed decides when, and reproduces a run as far as the machine does. */
const KILLS = 8;
const seed = Number(process.env.HULL_FAULT_SEED ?? Math.floor(Math.random() * 2 ** 31));
let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

const rounds: readonly ((name: string) => readonly (readonly string[])[])[] = [
  (name) => [
    ["create", "--name", name, "-v", "/anonymous", "-v", `${name}:/bin`, "busybox", "sleep", "1000"],
    ["start", name],
    ["rm", "-f", "-v", name],
  ],
  (name) => [
    ["run", "-d", "--name", name, "busybox", "sh", "-c", "echo x > /new; exec sleep 1000"],
    ["commit", name, `image-${name}`],
    ["stop", "-t", "0", name],
    ["rm", name],
    ["rmi", `image-${name}`],
  ],
  (name) => [
    ["network", "create", name],
    ["run", "-d", "--name", name, "--network", name, "--restart", "always", "busybox", "sleep", "1000"],
    ["run", "--rm", "--label", "short=yes", "-v", "/anonymous", "busybox", "true"],
    ["rm", "-f", name],
    ["network", "rm", name],
    ["volume", "create", name],
    ["volume", "rm", name],
  ],
];

/** The same things again and again under new names; what the killed engine does not answer is given up. */
async function work(worker: number, isOver: () => boolean): Promise<void> {
  for (let i = 0; !isOver(); i++)
    for (const command of rounds[worker % rounds.length]!(`w${worker}-${i}-${Date.now().toString(36)}`)) {
      if (isOver()) return;
      await engine.docker(...command);
    }
}

const lines = async (...args: string[]): Promise<string[]> => (await engine.ok(...args)).split("\n").filter(Boolean);
const containers = () => lines("ps", "-aq", "--no-trunc");
/** Without those that remove themselves, whose end may be noticed at any moment. */
const staying = async () => {
  const listed = await lines("ps", "-a", "--no-trunc", "--format", '{{.ID}}{{.Label "short"}}');
  return listed.filter((line) => !line.endsWith("yes"));
};
const networks = async () => (await lines("network", "ls", "-q", "--filter", "type=custom")).sort();
const volumes = () => lines("volume", "ls", "-q");
const images = () => lines("images", "-aq", "--no-trunc");

/** Everything that is listed can be looked at, and what does not run can be started. */
async function assertConsistent(): Promise<void> {
  // A --rm container that was never started stays, as with Docker.
  let going: string[] = [];
  await until("what was being removed is gone", async () => {
    const ended = ["running", "exited", "dead"].flatMap((status) => ["--filter", `status=${status}`]);
    going = [
      ...(await lines("ps", "-a", "--filter", "status=removing")),
      ...(await lines("ps", "-a", "--filter", "label=short", ...ended)),
    ].filter((line) => !line.startsWith("CONTAINER"));
    return going.length === 0;
  }).catch((error) => {
    throw new Error(`${error.message}: ${going.join("; ")}`);
  });
  await engine.ok("system", "df", "-v");
  for (const [kind, list] of [
    ["container", staying],
    ["network", networks],
    ["volume", volumes],
    ["image", images],
  ] as const) {
    const ids = await list();
    if (ids.length > 0) await engine.ok("inspect", "--type", kind, ...ids);
  }
  for (const id of await staying()) {
    await engine.ok("start", id);
    await engine.ok("diff", id);
  }
}

const entries = (path: string): string[] => (existsSync(path) ? readdirSync(path).map((name) => join(path, name)) : []);

/** What containers, images, volumes and networks are on this machine, but for the pool of namespaces and its like. */
function inventory(): string[] {
  const { dataRoot, execRoot } = engine;
  const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  const roots = mounts.filter((line) => / - cgroup2? /.test(line)).map((line) => line.split(" ")[4]!);
  return [
    ...["overlay2", "overlay2/l", "containers", "volumes", "containerd/trash", "containerd/content/ingest"].flatMap(
      (name) => entries(join(dataRoot, name)),
    ),
    ...["containerd/content/scratch", "containerd/content/blobs/sha256"].flatMap((name) =>
      entries(join(dataRoot, name)),
    ),
    ...entries(join(execRoot, "containerd/io.containerd.runtime.v2.task/moby")),
    ...["netns", "s", "p"].flatMap((name) => entries(join(execRoot, name)).filter((path) => !path.includes("/pool-"))),
    ...mounts
      .map((line) => line.split(" ")[4] ?? "")
      .filter((path) => path.startsWith(engine.path("")) && !path.includes("/pool-")),
    ...roots.flatMap((root) => entries(join(root, "hull"))).filter((path) => made.has(path.split("/").at(-1)!)),
  ];
}
/** Ids of containers that were seen: other engines' cgroups are in the same place. */
const made = new Set<string>();

test(`after each of ${KILLS} SIGKILLs of hulld everything listed is whole, and after the removal of all nothing is left (HULL_FAULT_SEED=${seed})`, async () => {
  const random = new Random(seed);
  const before = { inventory: new Set(inventory()), images: await images(), networks: await networks() };
  for (let kill = 0; kill < KILLS; kill++) {
    let over = false;
    const working = rounds.map((_, worker) => work(worker, () => over));
    await delay(100 + random.below(900));
    await engine.endDaemon("SIGKILL");
    over = true;
    await Promise.all(working);
    await engine.startDaemon();
    for (const id of await containers()) made.add(id);
    await assertConsistent();
  }
  const ids = await containers();
  if (ids.length > 0) await engine.ok("rm", "-f", "-v", ...ids);
  for (const id of await networks()) if (!before.networks.includes(id)) await engine.ok("network", "rm", id);
  for (const id of new Set(await images())) if (!before.images.includes(id)) await engine.ok("rmi", "-f", id);
  const named = await volumes();
  assert.deepEqual(
    named.filter((name) => /^[0-9a-f]{64}$/.test(name)),
    [],
    "anonymous volumes went with their containers",
  );
  if (named.length > 0) await engine.ok("volume", "rm", ...named);
  let left: string[] = [];
  await until("nothing is left", () => {
    left = inventory().filter((path) => !before.inventory.has(path));
    return left.length === 0;
  }).catch(() => undefined);
  assert.deepEqual(left, []);
  assert.deepEqual(
    [...before.inventory].filter((path) => !existsSync(path)),
    [],
    "nothing else is gone",
  );
});
