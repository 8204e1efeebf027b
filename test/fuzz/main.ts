/**
 * The fuzzer: archives for `apply` (in C, in one process), then plans and frames for `serve`, then messages for the sockets of shim, pause and
 * ports. Prints its seed; the same seed makes the same
 * cases. Run by scripts/fuzz, which has built keel with the sanitizers.
 */
import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import { member, paxRecords, tarOf } from "../../src/keel/tar-harness.ts";
import { fuzzPlans } from "./plans.ts";
import { fuzzSockets } from "./sockets.ts";

const { values } = parseArgs({ options: { seconds: { type: "string" }, seed: { type: "string" } } });
const seconds = Number(values.seconds ?? 60);
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
if (!(seconds > 0) || !Number.isInteger(seed)) throw new Error("usage: fuzz [--seconds N] [--seed N]");

const root = join(import.meta.dirname, "../..");
const objects = join(root, "dist/obj-san");
const sanitized = join(root, "dist/san/keel");

/** The fuzzer's own program: keel's chapters without its main. */
function build(program: string): void {
  const chapters = readdirSync(join(root, "native/keel"));
  const parts = readdirSync(join(root, "native/keel"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".c") && !name.endsWith("/main.c"))
    .map((name) => join(objects, basename(name).replace(/c$/, "o")));
  const flags = ["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fno-omit-frame-pointer"];
  const sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"];
  const source = join(root, "test/fuzz/fuzz-tar.c");
  const includes = chapters.map((chapter) => `-I${join(root, "native/keel", chapter)}`);
  execFileSync("gcc", [...flags, ...includes, ...sanitizers, source, ...parts, "-lz", "-lzstd", "-o", program], {
    stdio: "inherit",
  });
}

/** What mutation starts from: what GNU tar writes of everything a tree can have, and what no program would write. */
function makeCorpus(directory: string, tree: string): void {
  mkdirSync(directory);
  mkdirSync(tree);
  const script = `mkdir -p a/b place; echo hi > a/f; ln a/f a/g; ln -s ../x a/l; ln -s / link; mkfifo a/p; mknod a/dev c 1 3
    truncate -s 100k a/sparse; echo x >> a/sparse; setfattr -n user.a -v b a/f; touch a/b/.wh.x a/.wh..wh..opq
    echo l > a/b/${"n".repeat(150)}; ln -s ${"t".repeat(150)} a/b/long; chmod 4755 a/f; chown 3000000:1 a/b`;
  execFileSync("/bin/bash", ["-ec", script], { cwd: tree });
  const formats = [
    "v7",
    "ustar",
    "gnu --sparse",
    "pax --sparse --xattrs",
    "pax --sparse --sparse-version=0.0",
    "pax --sparse --sparse-version=0.1",
  ];
  for (const [index, format] of formats.entries()) {
    const made = spawnSync("tar", ["-C", tree, ...`--format=${format}`.split(" "), "-b", "1", "-cf", "-", "."]); // some formats leave names out
    if (made.stdout.length < 200_000) writeFileSync(join(directory, `tar${index}`), made.stdout);
  }
  const odd = tarOf(
    paxRecords({ "SCHILY.xattr.user.x": "y", mtime: "-1.25", path: "p/q", size: "3" }),
    member({ name: "z", bytes: Buffer.from("abc") }),
    member({ name: "x", type: "L", bytes: Buffer.from(`${"l/".repeat(100)}\0`) }),
    member({ name: "x", bytes: Buffer.from("d") }),
    member({ name: "link/through", type: "1", link: "link/a" }),
    member({ name: ".wh.a" }),
  );
  writeFileSync(join(directory, "odd"), odd);
  writeFileSync(
    join(directory, "odd.gz"),
    Buffer.concat([gzipSync(odd.subarray(0, 700)), gzipSync(odd.subarray(700))]),
  );
  const zstd = spawnSync("zstd", ["-qc"], { input: odd });
  if (zstd.status === 0) writeFileSync(join(directory, "odd.zst"), zstd.stdout);
}

function fuzzArchives(directory: string, howLong: number): void {
  const [corpus, work, last] = [join(directory, "corpus"), join(directory, "work"), join(directory, "case")];
  const program = join(directory, "fuzz-tar");
  build(program);
  makeCorpus(corpus, join(directory, "tree"));
  mkdirSync(work);
  const run = spawnSync(program, [String(howLong), String(seed), corpus, work, last], { stdio: "inherit" });
  if (run.status === 0) return;
  const kept = join(root, "dist", `fuzz-case-${seed}`);
  if (existsSync(last)) copyFileSync(last, kept);
  throw new Error(`fuzz-tar ended with ${run.status ?? run.signal}; the archive is ${kept}, the seed ${seed}`);
}

const directory = mkdtempSync(join(tmpdir(), "keel-fuzz-"));
chmodSync(directory, 0o755);
console.log(`seed ${seed}, ${seconds} s`);
try {
  fuzzArchives(directory, Math.ceil(seconds / 3));
  const sandbox = join(directory, "sandbox");
  mkdirSync(sandbox);
  const options = { keel: sanitized, directory: sandbox, seconds: seconds / 3, seed };
  const { frames, processes } = await fuzzPlans(options);
  const sockets = await fuzzSockets(options);
  console.log(`${frames} frames to ${processes} processes, nothing crashed`);
  console.log(
    `${sockets.frames} messages to the sockets of ${sockets.sandboxes} containers, ${sockets.alive} answers in between`,
  );
} finally {
  rmSync(directory, { recursive: true, force: true });
}
