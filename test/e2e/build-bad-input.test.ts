// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the texts are a Dockerfile's
/** What is wrong with a build is said in words, by both protocols; nothing of it stays, and nothing outside of the context is read or written. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { member, tarOf } from "../../src/keel/tar-harness.ts";
import { type Ran, run, TestEngine, until } from "../engine.ts";
import { remains } from "../killed-builds.ts";
import { daemon } from "../survivors.ts";
import { root } from "../tidy/source-tree.ts";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
  await engine.must(build("BuildKit", { input: "FROM busybox\nRUN true\n" }, "-"));
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

const protocols = ["classic", "BuildKit"] as const;
type Protocol = (typeof protocols)[number];

const command = (protocol: Protocol): string => (protocol === "classic" ? "docker" : join(root, "dist/bin/hull"));
const environment = (protocol: Protocol) => ({
  DOCKER_HOST: `unix://${engine.socket}`,
  DOCKER_BUILDKIT: protocol === "classic" ? "0" : "1",
});

const build = (protocol: Protocol, options: { readonly input?: string | Buffer }, ...args: string[]): Promise<Ran> =>
  run([command(protocol), "build", ...args], environment(protocol), options);

/** Once nothing is on its way out any more: what there is of layers, blobs and halves. */
async function kept(): Promise<readonly string[]> {
  let [last, same] = [remains(engine), 0];
  await until("nothing changes", () => {
    const now = remains(engine);
    same = now.join() === last.join() ? same + 1 : 0;
    last = now;
    return same > 5;
  });
  return last;
}

async function refused(protocol: Protocol, words: RegExp, running: () => Promise<Ran>): Promise<void> {
  const before = await kept();
  const failed = await running();
  assert.notEqual(failed.code, 0, failed.stdout + failed.stderr);
  assert.match(failed.stderr + failed.stdout, words, protocol);
  assert.deepEqual(await kept(), before, protocol);
}

/** Dockerfile, and what each protocol says; where one of them takes it, undefined. */
const dockerfiles: readonly (readonly [what: string, text: string, classic: RegExp | undefined, buildkit: RegExp])[] = [
  [
    "an unknown instruction",
    "FROM busybox\nRUNN x\n",
    /line 2: unknown instruction: RUNN/,
    /Dockerfile:2\n.*unknown instruction: RUNN \(did you mean RUN\?\)/s,
  ],
  [
    "a bad flag",
    "FROM busybox\nCOPY --form=a b c\n",
    /line 2: unknown flag: --form/i,
    /Dockerfile:2\n.*unknown flag: --form \(did you mean from\?\)/s,
  ],
  [
    "a circle of stages",
    "FROM busybox AS a\nCOPY --from=b /x /\nFROM busybox AS b\nCOPY --from=a /x /\n",
    /\bb\b/,
    /circular dependency detected on stage: a/,
  ],
  [
    "a missing stage",
    "FROM busybox AS build\nFROM busybox\nCOPY --from=biuld /a /b\n",
    /biuld/,
    /biuld.*did you mean build\?/,
  ],
  ["a missing file", "FROM busybox\nCOPY fiel /x\n", /COPY failed: .*fiel/, /"\/fiel": not found/],
  [
    "a path out of the context",
    "FROM busybox\nCOPY ../../../etc/passwd /x\n",
    /forbidden path outside the build context/,
    /"\/etc\/passwd": not found/,
  ],
  ["a link out of the context", "FROM busybox\nCOPY out /x\n", /out/, /not found/],
  ["a path through a link out of the context", "FROM busybox\nCOPY machine/passwd /x\n", /machine/, /not found/],
  [
    "a here-document without an end",
    "FROM busybox\nRUN <<EOF\necho never\n",
    /unterminated heredoc/,
    /unterminated heredoc: no line is "EOF"/,
  ],
  ["a bad expansion", 'FROM busybox\nENV A="${B:?must be set}"\n', /B: must be set/, /B: must be set/],
  ["a modifier that there is not", "FROM busybox\nENV A=${B:!x}\n", /unsupported modifier/, /unsupported modifier/],
];

for (const [what, text, ...words] of dockerfiles)
  for (const [i, protocol] of protocols.entries())
    test(`${what} is refused by the ${protocol} protocol`, async () => {
      const name = `${protocol}-${what.replaceAll(" ", "-")}`;
      const directory = engine.directory(name, { Dockerfile: text, file: "the context's" });
      symlinkSync("/etc/passwd", join(directory, "out"));
      symlinkSync("/etc", join(directory, "machine"));
      await refused(protocol, words[i]!, () => build(protocol, {}, directory));
    });

const MIB = 1024 * 1024;
const residentBytes = (pid: number): number =>
  Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) * 1024;

for (const protocol of protocols)
  test(`a line of 100 MB is refused at once, and held by nobody: ${protocol}`, async () => {
    const directory = engine.directory(`line-${protocol}`, { Dockerfile: "" });
    writeFileSync(join(directory, "Dockerfile"), Buffer.alloc(100_000_000, "x"));
    const began = performance.now();
    await refused(protocol, /(?:at most|larger than) 16 MiB/, () => build(protocol, {}, directory));
    assert.ok(performance.now() - began < 20_000, "quickly");
    for (const name of ["hulld", "hull-buildkitd"])
      assert.ok(residentBytes(daemon(engine, name)) < 300 * MIB, `${name}: ${residentBytes(daemon(engine, name))}`);
  });

const dockerfile = member({ name: "Dockerfile", bytes: Buffer.from("FROM busybox\nCOPY . /c\n") });
const secret = "/var/tmp/hull-test-escaped";

const archives: readonly (readonly [what: string, archive: Buffer, words: RegExp])[] = [
  [
    "a name that climbs",
    tarOf(dockerfile, member({ name: `../../../../..${secret}`, bytes: Buffer.from("out") })),
    /escaped/,
  ],
  [
    "a name that climbs later",
    tarOf(dockerfile, member({ name: `a/../../../../..${secret}`, bytes: Buffer.from("out") })),
    /escaped/,
  ],
  [
    "a hard link to a file of the machine",
    tarOf(dockerfile, member({ name: "passwd", type: "1", link: "/etc/passwd" })),
    /passwd/,
  ],
  [
    "a hard link that climbs",
    tarOf(dockerfile, member({ name: "passwd", type: "1", link: "../../../../../etc/passwd" })),
    /passwd/,
  ],
  [
    "a file below a link that leads out",
    tarOf(
      dockerfile,
      member({ name: "out", type: "2", link: "/var/tmp" }),
      member({ name: "out/hull-test-escaped", bytes: Buffer.from("out") }),
    ),
    /out/,
  ],
  [
    "an archive that ends in the middle",
    tarOf(dockerfile, member({ name: "big", bytes: Buffer.alloc(100_000, 7) })).subarray(0, 50_000),
    /./,
  ],
  [
    "a packed archive that ends in the middle",
    gzipSync(tarOf(dockerfile, member({ name: "big", bytes: randomBytes(100_000) }))).subarray(0, 50_000),
    /./,
  ],
];

for (const [what, archive, words] of archives)
  for (const protocol of protocols)
    test(`${what} is refused by the ${protocol} protocol`, async () => {
      await refused(protocol, words, () => build(protocol, { input: archive }, "-"));
      assert.ok(!existsSync(secret));
    });

test("absolute names of an archive are the context's own, and a device is a device of the layer alone", async () => {
  const archive = tarOf(
    dockerfile,
    member({ name: `${secret}`, bytes: Buffer.from("inside") }),
    member({ name: "null", type: "3", device: [1, 3] }),
  );
  for (const protocol of protocols) {
    await engine.must(build(protocol, { input: archive }, "-t", "absolute", "-"));
    const shown = await engine.ok(
      "run",
      "--rm",
      "absolute",
      "sh",
      "-c",
      `cat /c${secret}; stat -c ' %F %t:%T' /c/null`,
    );
    assert.equal(shown, "inside character special file 1:3");
    assert.ok(!existsSync(secret));
  }
});

const incoming = (): string[] => {
  const path = join(engine.dataRoot, "buildkit/contexts");
  return [path, join(path, "objects")].flatMap((at) => readdirSync(at).filter((name) => name.startsWith("incoming-")));
};

for (const protocol of protocols)
  test(`a client of the ${protocol} protocol that is killed in the middle of its context leaves nothing`, async () => {
    const archive = tarOf(dockerfile, member({ name: "big", bytes: Buffer.alloc(4_000_000, 7) }));
    const child = spawn(command(protocol), ["build", "-"], {
      env: { ...process.env, ...environment(protocol) },
      stdio: ["pipe", "ignore", "ignore"],
    });
    child.stdin.on("error", () => undefined);
    child.stdin.write(archive.subarray(0, 2_000_000));
    await until("the context is on its way", () => incoming().length > 0);
    child.kill("SIGKILL");
    await until(
      () => `nothing of it stays: ${incoming()}`,
      () => incoming().length === 0,
    );
  });
