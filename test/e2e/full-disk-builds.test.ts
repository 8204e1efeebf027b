/** Builds on a disk that becomes full: they say so, nothing half-made is used, and with room they go on. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { TestEngine, until } from "../engine.ts";
import { beginBuild, type Client, clients, remains } from "../killed-builds.ts";
import { noSpace, SmallDisk } from "../small-disk.ts";

const MIB = 1024 * 1024;
const BIG_BYTES = 12 * MIB;
const disk = new SmallDisk(128 * MIB);
let engine: TestEngine | undefined;
let baseline: readonly string[];

before(async () => {
  if (disk.whyNot !== "") return;
  engine = await TestEngine.start({ dataRoot: join(disk.path, "data") });
  const directory = engine.directory("first", {
    Dockerfile: "FROM busybox\nCOPY f /f\nRUN echo first > /first\n",
    f: "f",
  });
  for (const client of clients) assert.equal((await build(client, directory)).code, 0);
  await empty();
  await settled();
  baseline = remains(engine);
});

after(async () => {
  disk.empty();
  await engine?.[Symbol.asyncDispose]();
  disk[Symbol.dispose]();
});

const build = (client: Client, directory: string) => beginBuild(engine!, { client, directory, round: client }).ended;

async function empty(): Promise<void> {
  await engine!.docker("rmi", "-f", "killed");
  await engine!.ok("image", "prune", "-f");
  await engine!.must(engine!.hull("builder", "prune", "-a", "-f"));
}

async function settled(): Promise<void> {
  let [before, same] = ["", 0];
  await until("nothing changes", () => {
    const now = remains(engine!).join();
    same = now === before ? same + 1 : 0;
    before = now;
    return same > 20;
  });
}

interface Case {
  readonly where: string;
  readonly dockerfile: string;
  /** Free when the build begins. */
  readonly leaveBytes: number;
}

/** "big" is of the context. Each is right when there is room. */
const cases: readonly Case[] = [
  { where: "the context is received", dockerfile: "COPY big /big\n", leaveBytes: BIG_BYTES / 2 },
  {
    where: "files are copied",
    dockerfile: "COPY --chown=1:1 big /big\nCOPY --chown=2:2 big /other\n",
    leaveBytes: 1.5 * BIG_BYTES,
  },
  {
    where: "a command writes",
    dockerfile: "COPY f /f\nRUN dd if=/dev/zero of=/zeros bs=1M count=8\n",
    leaveBytes: 4 * MIB,
  },
  { where: "an archive is unpacked", dockerfile: "ADD big.tar /all/\n", leaveBytes: 1.5 * BIG_BYTES },
  { where: "anything is recorded", dockerfile: "COPY f /f\nRUN echo x > /x\n", leaveBytes: 0 },
];

for (const client of clients)
  for (const { where, dockerfile, leaveBytes } of cases)
    test(`full when ${where}: ${client} build says so, and with room it is made`, async (t: TestContext) => {
      if (engine === undefined) return t.skip(`no small file system here: ${disk.whyNot}`);
      const name = `${client}-${where.replaceAll(" ", "-")}`;
      const big = randomBytes(BIG_BYTES);
      const directory = engine.directory(name, { Dockerfile: `FROM busybox\nARG ROUND\n${dockerfile}`, f: name });
      if (/\bbig /.test(dockerfile)) writeFileSync(join(directory, "big"), big);
      if (/big\.tar/.test(dockerfile)) {
        mkdirSync(join(directory, "in"));
        writeFileSync(join(directory, "in/big"), big);
        execFileSync("tar", ["-C", join(directory, "in"), "-cf", join(directory, "big.tar"), "."]);
        writeFileSync(join(directory, ".dockerignore"), "in\n");
      }
      disk.fill(leaveBytes);
      const failed = await build(client, directory);
      assert.notEqual(failed.code, 0, "there was room");
      assert.match(failed.stdout + failed.stderr, noSpace);
      if (!where.startsWith("a command")) assert.match(failed.stdout + failed.stderr, /free some of it/);
      disk.empty();
      const made = await build(client, directory);
      assert.equal(made.code, 0, made.stdout + made.stderr);
      const read = /big /.test(dockerfile) ? "/big" : /big\.tar/.test(dockerfile) ? "/all/big" : "/f";
      const sum = await engine.ok("run", "--rm", "killed", "sha256sum", read);
      const bytes = read === "/f" ? Buffer.from(name) : big;
      assert.equal(sum.split(" ")[0], createHash("sha256").update(bytes).digest("hex"));
      await empty();
      await settled();
      assert.deepEqual(
        remains(engine).filter((path) => !baseline.includes(path)),
        [],
      );
    });
