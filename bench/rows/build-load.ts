/** Many builds at once: what they do to the engine and to each other. */
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type LoadOutcome, makeContext, putLoad } from "../../test/build-load.ts";
import { run } from "../../test/engine.ts";
import { pause, percentile } from "../measure.ts";
import { ms, type Row } from "../row.ts";
import type { BuildBench } from "./build.ts";

const MB = 1024 * 1024;
const CONTEXT_BYTES = 500 * MB;
const OWN = 25;
const SETTLED_MS = 2_500;

const seconds = (value: number): string => `${(value / 1000).toFixed(1)} s`;
const megabytes = (bytes: number): string => `${Math.round(bytes / MB)} MB`;

const clientNames = { docker: "docker's classic client", hull: "`hull build`" } as const;

const commandOf = (client: keyof typeof clientNames, hull: string, context: string): readonly string[] =>
  client === "docker" ? ["docker", "build", "-q", context] : ["env", "DOCKER_BUILDKIT=1", hull, "build", "-q", context];

/** As long as `work` and getting what it wrote onto the disk take. */
async function untilOnDisk(work: () => unknown): Promise<number> {
  const began = performance.now();
  await work();
  execFileSync("sync");
  return performance.now() - began;
}

export async function loadRows(bench: BuildBench): Promise<Row[]> {
  const rows = [await concurrentRow(bench, "docker"), await concurrentRow(bench, "hull")];
  return [...rows, ...(await fiftyRows(bench, "hull")), ...(await fiftyRows(bench, "docker"))];
}

/** Ten builds of one context, as an engine that has never seen it. */
async function concurrentRow({ engine, peer, hull, directory }: BuildBench, client: "docker" | "hull"): Promise<Row> {
  const context = makeContext(join(directory, `ten-${client}`), CONTEXT_BYTES);
  await pause(SETTLED_MS);
  const ten = async (command: readonly string[], env: Readonly<Record<string, string>>): Promise<number> => {
    const began = performance.now();
    const ran = await Promise.all(
      Array.from({ length: 10 }, () => run(command, { ...env, DOCKER_BUILDKIT: "0" }, { timeoutMs: 1_800_000 })),
    );
    for (const { code, stderr } of ran) if (code !== 0) throw new Error(stderr);
    return performance.now() - began;
  };
  const ours = { DOCKER_HOST: `unix://${engine.socket}` };
  const took = await ten(commandOf(client, hull, context), ours);
  const byPeer = client === "docker" ? await ten(["docker", "build", "-q", context], peer.env) : undefined;
  rmSync(context, { recursive: true });
  const targetMs = client === "docker" ? 25_000 : 5_000;
  return {
    what: `10 concurrent builds of one context of 500 MB, ${clientNames[client]}`,
    figure: seconds(took),
    peer: byPeer === undefined ? "" : `dockerd classic ${seconds(byPeer)}`,
    target: `under ${targetMs / 1000} s`,
    met: took < targetMs,
    must: false,
  };
}

/** Figures of the fifty, and of a small build among them. */
async function fiftyRows({ engine, hull, directory }: BuildBench, client: "docker" | "hull"): Promise<Row[]> {
  const contexts = join(directory, `fifty-${client}`);
  let shared = "";
  const own: string[] = [];
  const written = await untilOnDisk(() => {
    shared = makeContext(join(contexts, "shared"), CONTEXT_BYTES);
    for (let i = 0; i < OWN; i++) own.push(makeContext(join(contexts, String(i)), CONTEXT_BYTES));
  });
  const small = smallContext(join(contexts, "small"));
  const before = usedBytes(engine.dataRoot);
  const alone = await timeSmall(engine.socket, hull, small, "alone");
  let among = Number.NaN;
  let load: LoadOutcome | undefined;
  const took = await untilOnDisk(async () => {
    const loading = putLoad({
      socket: engine.socket,
      engineDirectory: engine.path(""),
      contexts: own.flatMap((path) => [path, shared]),
      build: (context) => commandOf(client, hull, context),
      runs: 50,
      stops: 20,
      paceMs: 1_000,
    });
    await pause(15_000);
    among = await timeSmall(engine.socket, hull, small, "among");
    load = await loading;
  });
  const { builds, buildsMs, runsMs, stopsMs, listsMs, residentBytes, allResidentBytes } = load!;
  for (const { code, stderr } of builds) if (code !== 0) throw new Error(stderr);
  const unique = (OWN + 1) * CONTEXT_BYTES;
  const used = (usedBytes(engine.dataRoot) - before) / unique;
  const [hulld, builder] = ["hulld", "hull-buildkitd"].map((name) => residentBytes.get(name) ?? Number.NaN) as [
    number,
    number,
  ];
  const slowest = Math.max(...runsMs, ...stopsMs);
  const list = percentile(listsMs, 99);
  const met =
    Math.max(hulld, builder) < 300 * MB &&
    allResidentBytes < 1024 * MB &&
    slowest < 5_000 &&
    list < 50 &&
    used <= 1.1 &&
    took <= 2.5 * written;
  rmSync(contexts, { recursive: true });
  return [
    {
      what: `50 concurrent builds of 500 MB contexts (25 share one), ${clientNames[client]}; 50 docker run --rm, 20 docker stop beside them`,
      figure: `all succeeded in ${seconds(buildsMs)}, on disk after ${seconds(took)} (${(took / written).toFixed(1)}x writing the unique bytes, ${seconds(written)}); hulld ${megabytes(hulld)}, hull-buildkitd ${megabytes(builder)}, all ${megabytes(allResidentBytes)}; slowest run ${seconds(Math.max(...runsMs))}, stop ${seconds(Math.max(...stopsMs))}; list p99 ${ms(list)}; disk ${used.toFixed(2)}x the unique bytes`,
      peer: "",
      target: "300 MB each, 1 GB together; 5 s; 50 ms; 1.1x; 2.5x",
      met,
      must: client === "hull",
    },
    {
      what: "a small build started among them, `hull build`",
      figure: `${seconds(among)}; alone ${seconds(alone)}`,
      peer: "",
      target: "within 5 s of alone",
      met: among - alone < 5_000,
      must: false,
    },
  ];
}

function smallContext(directory: string): string {
  mkdirSync(directory);
  writeFileSync(join(directory, "Dockerfile"), "FROM busybox\nARG WHEN\nRUN echo $WHEN > /when\n");
  return directory;
}

async function timeSmall(socket: string, hull: string, context: string, when: string): Promise<number> {
  const began = performance.now();
  const { code, stderr } = await run(
    [hull, "build", "-q", "--build-arg", `WHEN=${when}`, context],
    {
      DOCKER_HOST: `unix://${socket}`,
      DOCKER_BUILDKIT: "1",
    },
    { timeoutMs: 600_000 },
  );
  if (code !== 0) throw new Error(stderr);
  return performance.now() - began;
}

/** Hard links count once. */
function usedBytes(dataRoot: string): number {
  const said = execFileSync("du", ["-sk", dataRoot], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  return Number(said.split("\t")[0]) * 1024;
}
