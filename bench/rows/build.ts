/** Builds one at a time: from the cache, with a change, what a RUN costs beside its command, stages side by side. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeContext } from "../../test/build-load.ts";
import type { TestEngine } from "../../test/engine.ts";
import { median, mediansInTurn, pause, type TimedCommand, timeProcess } from "../measure.ts";
import type { PeerDocker } from "../peer-docker.ts";
import { ms, type Row, times } from "../row.ts";

export interface BuildBench {
  readonly engine: TestEngine;
  readonly peer: PeerDocker;
  readonly hull: string;
  /** For contexts. */
  readonly directory: string;
}

/** A file that was written so shortly before is read again: it could change without showing. */
const SETTLED_MS = 2_500;
const FEW_RUNS = 5;

const steps = (count: number): string => Array.from({ length: count }, (_, i) => `ENV STEP_${i}=${i}\n`).join("");

/** `count` files of `bytes`, of which none is like another. */
function manyFiles(directory: string, count: number, bytes: number, dockerfile: string): string {
  mkdirSync(directory, { recursive: true });
  for (let i = 0; i < count; i++) {
    const below = join(directory, String(Math.floor(i / 100)));
    if (i % 100 === 0) mkdirSync(below);
    writeFileSync(join(below, `${i}`), `${i} `.padEnd(bytes, `${i * 7919} `));
  }
  writeFileSync(join(directory, "Dockerfile"), dockerfile);
  return directory;
}

export async function buildRows(bench: BuildBench): Promise<Row[]> {
  const { engine, peer, hull, directory } = bench;
  const ours = { DOCKER_HOST: `unix://${engine.socket}` };
  const byHull = (context: string): TimedCommand => ({ command: [hull, "build", "-q", context], env: ours });
  const classic = (context: string, env: Readonly<Record<string, string>>): TimedCommand => ({
    command: ["docker", "build", "-q", context],
    env: { ...env, DOCKER_BUILDKIT: "0" },
  });
  const twelve = `FROM busybox\nWORKDIR /app\nCOPY . .\nRUN true\n${steps(8)}`;
  const five = manyFiles(join(directory, "five"), 5_000, 20_000, twelve);
  const large = makeContext(join(directory, "large"), 0);
  manyFiles(join(directory, "large/files"), 10_000, 50_000, "");
  await pause(SETTLED_MS);
  const [cached, cachedByDocker] = (await mediansInTurn([byHull(five), classic(five, ours)])) as [number, number];
  const [cachedByPeer] = (await mediansInTurn([classic(five, peer.env)], FEW_RUNS)) as [number];
  const [cachedLarge] = (await mediansInTurn([byHull(large)])) as [number];
  const [largeByPeer] = (await mediansInTurn([classic(large, peer.env)], FEW_RUNS)) as [number];
  return [
    {
      what: "fully cached rebuild, 12 steps, 5,000 files of 20 KB, `hull build`, whole process",
      figure: `${ms(cached)} (${times(cachedByPeer / cached)} faster); docker's classic client on hulld ${ms(cachedByDocker)}`,
      peer: `dockerd classic ${ms(cachedByPeer)}`,
      target: "under 200 ms, 10x faster",
      met: cached < 200 && cachedByPeer / cached >= 10,
      must: true,
    },
    await changedRow(byHull(five), join(five, "7/700")),
    {
      what: "cached rebuild with 10,000 files and 500 MB, `hull build`, whole process",
      figure: ms(cachedLarge),
      peer: `dockerd classic ${ms(largeByPeer)}`,
      target: "under 300 ms",
      met: cachedLarge < 300,
      must: false,
    },
    await commandRow(bench, byHull),
    await stagesRow(bench, byHull),
  ];
}

async function changedRow(command: TimedCommand, file: string): Promise<Row> {
  const taken: number[] = [];
  for (let i = 0; i < FEW_RUNS; i++) {
    writeFileSync(file, `${process.pid} ${i} `.padEnd(20_000, "changed "));
    await pause(SETTLED_MS);
    taken.push(await timeProcess(command));
  }
  const took = median(taken);
  return {
    what: "one of the 5,000 files changed",
    figure: ms(took),
    peer: "",
    target: "under 400 ms",
    met: took < 400,
    must: false,
  };
}

/** Many commands in one build against the same build without them. */
async function commandRow({ directory }: BuildBench, byHull: (context: string) => TimedCommand): Promise<Row> {
  const COMMANDS = 20;
  const context = join(directory, "commands");
  mkdirSync(context);
  const built = async (build: string, commands: number): Promise<number> => {
    const lines = Array.from({ length: commands }, (_, i) => `RUN : ${build} ${i}\n`).join("");
    writeFileSync(join(context, "Dockerfile"), `FROM busybox\nENV BUILD=${build}\n${lines}`);
    return timeProcess(byHull(context));
  };
  await built("warm", 2);
  const with20: number[] = [];
  const without: number[] = [];
  for (let i = 0; i < FEW_RUNS; i++) {
    without.push(await built(`none-${i}`, 0));
    with20.push(await built(`all-${i}`, COMMANDS));
  }
  const each = (median(with20) - median(without)) / COMMANDS;
  return {
    what: "RUN of a shell that does nothing, a build of 20 against one of none",
    figure: `${ms(each)} each`,
    peer: "",
    target: "under 30 ms",
    met: each < 30,
    must: false,
  };
}

async function stagesRow({ directory }: BuildBench, byHull: (context: string) => TimedCommand): Promise<Row> {
  const context = join(directory, "stages");
  mkdirSync(context);
  const numbers = Array.from({ length: 8 }, (_, i) => i);
  const stages = numbers.map((i) => `FROM busybox AS s${i}\nRUN sleep 2 && echo ${process.pid} > /s${i}\n`).join("");
  const copies = numbers.map((i) => `COPY --from=s${i} /s${i} /\n`).join("");
  writeFileSync(join(context, "Dockerfile"), `${stages}FROM busybox\n${copies}`);
  const took = await timeProcess(byHull(context));
  return {
    what: "8 independent stages of 2 s each, one build",
    figure: ms(took),
    peer: "",
    target: "under 4 s",
    met: took < 4_000,
    must: false,
  };
}
