/**
 * Many builds of large contexts at once, with containers that run and stop meanwhile, and what it does to an engine: for the test (small
 * contexts) and the bench.
 */
import { randomBytes } from "node:crypto";
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Ran, run } from "./engine.ts";

export interface LoadRequest {
  /** The engine's socket, and the directory that the command lines of its daemons name. */
  readonly socket: string;
  readonly engineDirectory: string;
  /** A directory per build; several builds may have one. */
  readonly contexts: readonly string[];
  /** The command that builds a directory. */
  readonly build: (context: string) => readonly string[];
  readonly runs: number;
  readonly stops: number;
  /** Between one `docker run`, or two and a half `docker stop`, and the next. */
  readonly paceMs: number;
}

export interface LoadOutcome {
  readonly builds: readonly Ran[];
  readonly buildsMs: number;
  /** Whole processes of the docker command. */
  readonly runsMs: readonly number[];
  readonly stopsMs: readonly number[];
  /** `GET /containers/json` on one connection. */
  readonly listsMs: readonly number[];
  /** Most resident bytes by process name, and of all together at one moment. */
  readonly residentBytes: ReadonlyMap<string, number>;
  readonly allResidentBytes: number;
}

const FILE_BYTES = 256 * 1024;
const SLEEPER = ["sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"];

/** A directory of files that no other has and nothing can compress, with a Dockerfile that copies all of them. */
export function makeContext(directory: string, bytes: number): string {
  mkdirSync(directory, { recursive: true });
  const noise = randomBytes(8 * FILE_BYTES);
  for (let i = 0; i * FILE_BYTES < bytes; i++) {
    const below = join(directory, String(Math.floor(i / 100)));
    if (i % 100 === 0) mkdirSync(below);
    const fd = openSync(join(below, `${i}`), "wx");
    const mark = randomBytes(16);
    writeSync(fd, mark);
    const at = mark.readUInt32LE(0) % (7 * FILE_BYTES);
    writeSync(fd, noise, at, FILE_BYTES - mark.length);
    closeSync(fd);
  }
  writeFileSync(join(directory, "Dockerfile"), "FROM busybox\nCOPY . /c\n");
  return directory;
}

export async function putLoad(asked: LoadRequest): Promise<LoadOutcome> {
  const env = { DOCKER_HOST: `unix://${asked.socket}`, DOCKER_BUILDKIT: "0" };
  const docker = (...args: string[]): Promise<Ran> => run(["docker", ...args], env, { timeoutMs: 120_000 });
  const names = Array.from({ length: asked.stops }, (_, i) => `load-${i}`);
  await Promise.all(names.map((name) => must(docker("run", "-d", "--name", name, "busybox", ...SLEEPER))));
  const over = new AbortController();
  const watching = [sampleMemory(asked.engineDirectory, over.signal), timeLists(asked.socket, over.signal)] as const;
  const started = performance.now();
  const building = Promise.all(
    asked.contexts.map((context) => run(asked.build(context), env, { timeoutMs: 1_800_000 })),
  ).then((builds) => ({ builds, buildsMs: performance.now() - started }));
  const [{ builds, buildsMs }, runsMs, stopsMs] = await Promise.all([
    building,
    paced(asked.runs, asked.paceMs, () => docker("run", "--rm", "busybox", "true")),
    paced(asked.stops, 2.5 * asked.paceMs, (i) => docker("stop", names[i]!)),
  ]);
  over.abort();
  const [memory, listsMs] = await Promise.all(watching);
  await Promise.all(names.map((name) => must(docker("rm", "-f", name))));
  return { builds, buildsMs, runsMs, stopsMs, listsMs, ...memory };
}

async function must(running: Promise<Ran>): Promise<void> {
  const { code, stderr } = await running;
  if (code !== 0) throw new Error(stderr);
}

/** Begun at a steady pace, however long each takes; milliseconds of each. */
async function paced(count: number, paceMs: number, begin: (i: number) => Promise<Ran>): Promise<number[]> {
  const running: Promise<number>[] = [];
  for (let i = 0; i < count; i++) {
    await delay(paceMs);
    const began = performance.now();
    running.push(must(begin(i)).then(() => performance.now() - began));
  }
  return Promise.all(running);
}

const LIST_PAUSE_MS = 20;

async function timeLists(socketPath: string, over: AbortSignal): Promise<number[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const times: number[] = [];
  while (!over.aborted) {
    const began = performance.now();
    await new Promise<void>((resolve, reject) => {
      request({ socketPath, path: "/containers/json", agent, headers: { Host: "docker" } }, (response) => {
        response.resume().on("end", resolve).on("error", reject);
      })
        .on("error", reject)
        .end();
    });
    times.push(performance.now() - began);
    await delay(LIST_PAUSE_MS);
  }
  agent.destroy();
  return times;
}

const SAMPLE_MS = 200;

async function sampleMemory(
  directory: string,
  over: AbortSignal,
): Promise<Pick<LoadOutcome, "residentBytes" | "allResidentBytes">> {
  const residentBytes = new Map<string, number>();
  let allResidentBytes = 0;
  while (!over.aborted) {
    let sum = 0;
    for (const { name, bytes } of residentProcesses(directory)) {
      residentBytes.set(name, Math.max(residentBytes.get(name) ?? 0, bytes));
      sum += bytes;
    }
    allResidentBytes = Math.max(allResidentBytes, sum);
    await delay(SAMPLE_MS);
  }
  return { residentBytes, allResidentBytes };
}

/** Of the engine's daemons and what they started, but for containers: those are not named after the directory. */
function residentProcesses(directory: string): { readonly name: string; readonly bytes: number }[] {
  return readdirSync("/proc").flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      const status = readFileSync(`/proc/${pid}/status`, "utf8");
      const name = /^Name:\s+(.*)$/m.exec(status)?.[1] ?? "";
      const isOurs = /^(hulld|hull-\w+|keel.*|dockerd|containerd)$/.test(name) && command.includes(directory);
      return isOurs ? [{ name, bytes: Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) * 1024 }] : [];
    } catch {
      // It ended in between.
      return [];
    }
  });
}
