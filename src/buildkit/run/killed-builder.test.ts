import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { cgroupPlace, directoriesOf } from "../../runc/cgroup/place.ts";
import { readHostFacts } from "../../runc/host-facts.ts";
import { CacheMounts } from "./cache-mounts.ts";
import { FakeNetworks, TestBuilder } from "./harness.ts";

let builder: TestBuilder;
before(async () => {
  builder = await TestBuilder.open();
});
after(() => builder[Symbol.asyncDispose]());

const ROUNDS = 8;
const LONGEST_MS = 500;
const SECRET = "sesame-41b0c2";

/** In a process of its own: commands with mounts of every kind, four at a time, for ever. */
const program = (directory: string, cgroupParent: string): string => `
  import { ready, runVertex, scratch, TestBuilder } from ${JSON.stringify(join(import.meta.dirname, "harness.ts"))};
  const builder = await TestBuilder.open(${JSON.stringify({ directory, cgroupParent })});
  const owner = { mode: 0o700, uid: 0, gid: 0 };
  const mounts = [
    ready({ kind: "bind", from: scratch, source: "/", target: "/rw", writable: true }, [builder.root.path]),
    ready({ kind: "cache", id: "c", from: scratch, source: "/etc", target: "/c", sharing: "private", readOnly: false, ...owner },
      [builder.root.path]),
    ready({ kind: "tmpfs", target: "/t/t", sizeBytes: 0 }),
    ready({ kind: "secret", id: "s", target: "/run/secrets/s", env: "S", required: true, ...owner }),
  ];
  const secrets = { secret: async () => Buffer.from(${JSON.stringify(SECRET)}), sshAgent: async () => undefined };
  const script = "cat /run/secrets/s > /dev/null; echo x > /rw/x; echo x > /c/x; echo x > /x";
  console.log("begun");
  const loop = async () => { for (;;) await builder.run(script, { mounts, secrets }); };
  await Promise.all([loop(), loop(), loop(), loop()]);`;

/** Processes that this builder has started, by their environment. */
const processesOf = (directory: string): string[] =>
  readdirSync("/proc").filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/environ`, "latin1").includes(`TMPDIR=${directory}\0`);
    } catch {
      return false; // it has ended meanwhile
    }
  });

const cgroupsOf = (parent: string): string[] =>
  directoriesOf(cgroupPlace(readHostFacts().cgroups, parent, "")).flatMap((directory) =>
    existsSync(directory)
      ? readdirSync(directory, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []))
      : [],
  );

async function killAtRandom(directory: string, afterMs: number): Promise<void> {
  const child = spawn(process.execPath, ["-e", program(directory, builder.cgroupParent)], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, TMPDIR: directory },
  });
  const gone = new Promise((resolve) => child.once("exit", resolve));
  await new Promise((resolve) => child.stdout.once("data", resolve));
  await new Promise((resolve) => setTimeout(resolve, afterMs));
  child.kill("SIGKILL");
  await gone;
  for (const end = Date.now() + 10_000; processesOf(directory).length > 0; ) {
    assert.ok(Date.now() < end, `processes of a killed builder live on: ${processesOf(directory)}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

for (let round = 0; round < ROUNDS; round++) {
  const afterMs = Math.round(Math.random() * LONGEST_MS);
  test(`a builder that is killed ${afterMs} ms into its commands leaves nothing that the next one does not take away`, async () => {
    const directory = join(builder.directory, `killed${round}`);
    mkdirSync(directory);
    await killAtRandom(directory, afterMs);
    assert.equal(spawnSync("grep", ["-rqF", SECRET, directory]).status, 1);
    assert.ok(!readFileSync("/proc/self/mountinfo", "utf8").includes(directory));
    const caches = new CacheMounts(join(directory, "data/buildkit/cache-mounts"), builder.keel);
    const next = builder.newRunner(new FakeNetworks(), directory);
    await next.recover();
    await next.settled();
    await caches.recover();
    assert.deepEqual(builder.warnings, []);
    assert.deepEqual(cgroupsOf(builder.cgroupParent), []);
    for (const root of ["exec", "data"]) assert.deepEqual(readdirSync(join(directory, root, "buildkit/run")), []);
    // What counts as a cache is whole.
    for (const { name } of caches.records())
      assert.ok(existsSync(join(directory, "data/buildkit/cache-mounts", name, "data/passwd")), name);
  });
}
