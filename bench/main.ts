/**
 * `npm run bench`: every figure that the README quotes. Prints the table; exits with 1 when a row that must hold does not. `-- containers` or
 * `-- builds`: these alone.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { cpus, release } from "node:os";
import { join } from "node:path";
import { makeBaseImage } from "../src/cli/base-image.ts";
import { TestEngine } from "../test/engine.ts";
import { root } from "../test/tidy/source-tree.ts";
import { endWhenInterrupted, pause } from "./measure.ts";
import { PeerDocker } from "./peer-docker.ts";
import { formatTable, type Row } from "./row.ts";
import { buildRows } from "./rows/build.ts";
import { loadRows } from "./rows/build-load.ts";
import { containerdRow } from "./rows/containerd.ts";
import { idleRow, manyRows } from "./rows/many.ts";
import { runRows } from "./rows/run.ts";
import { runtimeRow } from "./rows/runtime.ts";

/** What the rehearsal left in the daemons' heaps has been collected by then. */
const QUIET_MS = 10_000;
const hull = join(root, "dist/bin/hull");

async function measure(directory: string, groups: readonly string[]): Promise<Row[]> {
  using base = makeBaseImage("busybox:latest");
  execFileSync("tar", ["-C", directory, "-xf", base.archive]);
  const rows: Row[] = [];
  if (groups.includes("containers")) rows.push(...(await containers(directory, base.archive)));
  if (groups.includes("builds")) rows.push(...(await builds(directory, base.archive)));
  return rows;
}

async function builds(directory: string, baseArchive: string): Promise<Row[]> {
  await using engine = await TestEngine.start();
  await using peer = await PeerDocker.start(baseArchive);
  const bench = { engine, peer, hull, directory };
  return [...(await buildRows(bench)), ...(await loadRows(bench))];
}

async function containers(directory: string, baseArchive: string): Promise<Row[]> {
  const rows: Row[] = [await runtimeRow(directory, join(directory, "layer.tar"), join(root, "dist/bin/hull-runc"))];
  await using engine = await TestEngine.start({ rehearses: true });
  await engine.rehearsed();
  await pause(QUIET_MS);
  rows.push(idleRow(engine));
  rows.push(await containerdRow(engine.execRoot, join(directory, "bundle")));
  {
    await using peer = await PeerDocker.start(baseArchive);
    console.log(`peer: dockerd ${await peer.version()}`);
    rows.push(...(await runRows(engine, peer, hull)));
  }
  rows.push(...(await manyRows(engine, hull)));
  return rows;
}

const groups = ["containers", "builds"];
const asked = process.argv.slice(2);
const unknown = asked.find((name) => !groups.includes(name));
if (unknown !== undefined) throw new Error(`no figures of ${unknown}: there are ${groups.join(", ")}`);
const model = /model name\s*: (.*)/.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "unknown processor";
console.log(`${cpus().length} cores (${model}), kernel ${release()}; medians of 20 runs unless said otherwise`);
endWhenInterrupted();
const directory = mkdtempSync("/var/tmp/hull-bench-");
try {
  const rows = await measure(directory, asked.length > 0 ? asked : groups);
  console.log(`\n${formatTable(rows)}`);
  const missed = rows.filter((row) => row.must && !row.met);
  if (missed.length > 0) {
    console.log(`\nnot met: ${missed.map((row) => row.what).join("; ")}`);
    process.exitCode = 1;
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
