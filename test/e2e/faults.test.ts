import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { processesOf, TestEngine, until } from "../engine.ts";
import { Random } from "../random.ts";

/** SIGKILLs of this run; the seed decides when and whom, and reproduces a run as far as the machine does. */
const KILLS = 20;
const WORKERS = 3;
const seed = Number(process.env.HULL_FAULT_SEED ?? Math.floor(Math.random() * 2 ** 31));

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

type Fate = "ends" | "lives" | "is stopped" | "is removed";
interface Made {
  readonly name: string;
  readonly fate: Fate;
  readonly exitCode: number;
}

/** What a client does when the engine was away: the same again, until it is done or was done already. */
async function insist(args: readonly string[], done: RegExp): Promise<void> {
  let last = "";
  await until(
    `docker ${args.join(" ")}`,
    async () => {
      const ran = await engine.docker(...args);
      last = ran.stderr;
      return ran.code === 0 || done.test(ran.stderr);
    },
    20_000,
  ).catch((error) => {
    throw new Error(`${error.message}: ${last}`);
  });
}

async function liveAndDie(made: Made): Promise<void> {
  const { name, fate, exitCode } = made;
  const command = fate === "ends" ? `sleep 0.1; exit ${exitCode}` : "exec sleep 1000";
  await insist(["create", "--name", name, "busybox", "sh", "-c", command], /already in use/);
  await insist(["start", name], /^$/);
  if (fate === "is stopped") await insist(["stop", "-t", "0", name], /^$/);
  if (fate === "is removed") await insist(["rm", "-f", name], /No such container/);
}

const fates: readonly Fate[] = ["ends", "is stopped", "is removed", "lives"];

/** Makes containers one after another until told to stop; the last is whole. */
async function work(worker: number, isOver: () => boolean, all: Made[]): Promise<void> {
  for (let i = 0; !isOver() && i < 25; i++) {
    const fate = fates[(i + worker) % fates.length]!;
    const made = { name: `w${worker}-${i}`, fate, exitCode: fate === "ends" ? 1 + i : 137 };
    await liveAndDie(made);
    all.push(made);
  }
}

const status = (pid: number): string => {
  try {
    return readFileSync(`/proc/${pid}/status`, "utf8");
  } catch {
    return ""; // It ended in between.
  }
};
const isNamed = (pid: number, name: string): boolean => status(pid).startsWith(`Name:\t${name}\n`);
const daemon = (name: string): number => processesOf(engine.execRoot).find((pid) => isNamed(pid, name)) ?? 0;
const keelOf = (name: string): number => {
  const parent = daemon(name);
  const children = readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => new RegExp(`^PPid:\\t${parent}$`, "m").test(status(pid)) && isNamed(pid, "keel-serve"));
  return parent === 0 ? 0 : (children[0] ?? 0);
};

const victims: readonly (readonly [string, () => number])[] = [
  ["hulld", () => engine.daemonPid],
  ["hull-containerd", () => daemon("hull-containerd")],
  ["hull-netd", () => daemon("hull-netd")],
  ["keel of hulld", () => keelOf("hulld")],
  ["keel of hull-containerd", () => keelOf("hull-containerd")],
  ["keel of hull-netd", () => keelOf("hull-netd")],
];

async function killOne(random: Random): Promise<void> {
  await delay(random.below(500));
  const [name, find] = random.pick(victims);
  if (name === "hulld") {
    await engine.endDaemon("SIGKILL");
    return engine.startDaemon();
  }
  let pid = 0;
  await until(`${name} runs`, () => {
    pid = find();
    return pid !== 0;
  });
  process.kill(pid, "SIGKILL");
}

async function assertFate({ name, fate, exitCode }: Made): Promise<void> {
  if (fate === "is removed") {
    assert.match((await engine.docker("inspect", "--type", "container", name)).stderr, /No such container/, name);
    return;
  }
  const wanted = fate === "lives" ? "running 0" : `exited ${exitCode}`;
  let is = "";
  await until(`${name} (${fate}) is ${wanted}`, async () => {
    is = (await engine.docker("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", name)).stdout.trim();
    return is === wanted;
  }).catch((error) => {
    throw new Error(`${error.message}, but is ${is}`);
  });
}

/** What of containers is left: sockets of shims and pauses (held also when the file is gone), directories, namespaces, mounts, cgroups. */
function remains(ids: readonly string[]): string[] {
  const sockets = readFileSync("/proc/net/unix", "utf8")
    .split("\n")
    .map((line) => line.split(" ").at(-1)!)
    .filter((path) => path.startsWith(`${engine.execRoot}/p/`) || path.startsWith(`${engine.execRoot}/s/`));
  const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  const ours = mounts
    .map((line) => line.split(" ")[4] ?? "")
    .filter((path) => path.startsWith(engine.path("")) && !path.includes("/netns/pool-"));
  const entries = (path: string) => (existsSync(path) ? readdirSync(path).map((name) => `${path}/${name}`) : []);
  const directories = [
    ...entries(`${engine.dataRoot}/containers`).filter((path) => !path.endsWith("/reserve")),
    ...entries(`${engine.execRoot}/containerd/io.containerd.runtime.v2.task/moby`),
    ...entries(`${engine.execRoot}/netns`).filter((path) => !path.includes("/pool-")),
  ];
  const roots = mounts.filter((line) => / - cgroup2? /.test(line)).map((line) => line.split(" ")[4]!);
  const cgroups = roots.flatMap((root) => ids.map((id) => `${root}/hull/${id}`)).filter((path) => existsSync(path));
  const shims = readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => ids.some((id) => commandLine(pid).includes(id)));
  return [...sockets, ...ours, ...directories, ...cgroups, ...shims.map((pid) => `process ${pid}`)];
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return ""; // It ended in between.
  }
}

test(`${KILLS} SIGKILLs of daemons and keels among working clients: right states and codes, nothing left (HULL_FAULT_SEED=${seed})`, async () => {
  const random = new Random(seed);
  const layers = readdirSync(`${engine.dataRoot}/overlay2`).sort();
  const all: Made[] = [];
  let over = false;
  const working = Promise.all(Array.from({ length: WORKERS }, (_, worker) => work(worker, () => over, all)));
  working.catch(() => undefined);
  for (let i = 0; i < KILLS; i++) await killOne(random);
  over = true;
  await working;
  for (const made of all) await assertFate(made);
  const names = (await engine.ok("ps", "-a", "--format", "{{.Names}}")).split("\n").sort();
  const expected = all.filter(({ fate }) => fate !== "is removed").map(({ name }) => name);
  assert.deepEqual(names, expected.sort());
  const alive = all.find(({ fate }) => fate === "lives");
  if (alive) assert.equal(await engine.ok("exec", alive.name, "echo", "here"), "here");
  const ids = (await engine.ok("ps", "-aq", "--no-trunc")).split("\n");
  await engine.ok("rm", "-f", ...ids);
  let left: string[] = [];
  const leftLayers = () => readdirSync(`${engine.dataRoot}/overlay2`).filter((name) => !layers.includes(name));
  await until("nothing is left", () => {
    left = [...remains(ids), ...leftLayers()];
    return left.length === 0;
  }).catch(() => undefined);
  assert.deepEqual(left, []);
  assert.equal(await engine.ok("run", "--rm", "busybox", "echo", "again"), "again");
});
