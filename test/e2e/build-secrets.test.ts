/** What a build is trusted with is nowhere afterwards: every byte that the engine keeps is looked at. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { type Ran, run, TestEngine } from "../engine.ts";
import { root } from "../tidy/source-tree.ts";

const newSecret = (kind: string): string => `${kind}-${randomBytes(12).toString("hex")}`;
/** As values of secrets, so that no other value is the same by chance. */
const secrets = {
  file: newSecret("file"),
  env: newSecret("env"),
  agent: newSecret("agent"),
  failing: newSecret("failing"),
};

/** Prints what the agent says. */
const talk = `#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
int main(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, getenv("SSH_AUTH_SOCK"), sizeof address.sun_path - 1);
  int agent = socket(AF_UNIX, SOCK_STREAM, 0);
  if (connect(agent, (struct sockaddr *)&address, sizeof address)) return 1;
  char bytes[256];
  for (ssize_t n; (n = read(agent, bytes, sizeof bytes)) > 0;)
    if (write(1, bytes, n) != n) return 2;
}
`;

let engine: TestEngine;
let agent: Server;
let directory: string;

before(async () => {
  engine = await TestEngine.start();
  directory = engine.directory("context", {
    Dockerfile: `FROM busybox
RUN --mount=type=secret,id=file --mount=type=secret,id=env,env=TOKEN [ "$(cat /run/secrets/file)" != "" ] && [ "$TOKEN" != "" ] && echo "$TOKEN" | md5sum > /sum
RUN --mount=type=secret,id=file,target=/etc/deep/er/secret,mode=0444,uid=7 wc -c /etc/deep/er/secret
COPY talk /bin/
RUN --mount=type=ssh talk | md5sum > /agent
RUN --mount=type=secret,id=failing sh -c 'exec 3</run/secrets/failing; sleep 0.2' && ls /run > /list
CMD cat /list
`,
  });
  execFileSync("gcc", ["-static", "-o", join(directory, "talk"), "-x", "c", "-"], { input: talk });
  writeFileSync(engine.path("secret"), secrets.file);
  writeFileSync(engine.path("failing"), secrets.failing);
  agent = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.end(`${secrets.agent}\n`);
  });
  await new Promise<void>((done) => agent.listen(engine.path("agent"), done));
});

after(async () => {
  agent?.close();
  await engine?.[Symbol.asyncDispose]();
});

const buildWith = (...args: string[]): Promise<Ran> =>
  run(
    [
      ...[join(root, "dist/bin/hull"), "build", "--progress=plain", "--secret", `id=file,src=${engine.path("secret")}`],
      ...["--secret", "id=env,env=SECRET_OF_ENV", "--secret", `id=failing,src=${engine.path("failing")}`],
      ...["--ssh", `default=${engine.path("agent")}`, ...args],
    ],
    { DOCKER_HOST: `unix://${engine.socket}`, DOCKER_CONFIG: engine.path("config"), SECRET_OF_ENV: secrets.env },
  );

/** Bytes as they are, and what is packed in them. */
function* readings(path: string): Generator<Buffer> {
  const bytes = readFileSync(path);
  yield bytes;
  if (bytes.subarray(0, 2).equals(Buffer.from([0x1f, 0x8b]))) yield gunzipSync(bytes);
  if (bytes.subarray(0, 4).equals(Buffer.from([0x28, 0xb5, 0x2f, 0xfd]))) yield zstdDecompressSync(bytes);
}

function* filesBelow(path: string): Generator<string> {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const inside = join(path, entry.name);
    if (entry.isDirectory()) yield* filesBelow(inside);
    else if (entry.isFile()) yield inside;
  }
}

/** In the forms that something may have written it in. */
const forms = (value: string): readonly Buffer[] =>
  [
    value,
    Buffer.from(value).toString("base64").slice(0, -4),
    Buffer.from(value).toString("hex"),
    encodeURIComponent(value),
  ].map((text) => Buffer.from(text));

/** Where one of the secrets is. */
function found(paths: Iterable<string>): string[] {
  const sought = Object.entries(secrets).flatMap(([kind, value]) => forms(value).map((bytes) => ({ kind, bytes })));
  return [...paths].flatMap((path) => {
    if (!existsSync(path) || statSync(path).size === 0) return [];
    return [...readings(path)].flatMap((bytes) =>
      sought.filter((one) => bytes.includes(one.bytes)).map(({ kind }) => `${kind} in ${path}`),
    );
  });
}

test("a search of all bytes finds what a build leaks", async () => {
  const leak = engine.directory("leak", {
    Dockerfile: "FROM busybox\nRUN --mount=type=secret,id=env cp /run/secrets/env /leaked\n",
  });
  await engine.must(buildWith("-t", "leaks", leak));
  assert.ok(found(filesBelow(engine.dataRoot)).some((place) => place.startsWith("env in ")));
  await engine.ok("rmi", "-f", "leaks");
  await engine.must(engine.hull("builder", "prune", "-a", "-f"));
  secrets.env = newSecret("env");
});

test("secrets of files and of the environment, and what an agent says, are in no layer, history, log, trace or record", async () => {
  const built = await buildWith("-t", "trusted", directory);
  assert.equal(built.code, 0, built.stderr);
  const sum = (text: string): string => `${createHash("md5").update(text).digest("hex")}  -`;
  const sums = [sum(`${secrets.env}\n`), sum(`${secrets.agent}\n`)].join("\n");
  assert.equal(await engine.ok("run", "--rm", "trusted", "cat", "/sum", "/agent"), sums, "commands had them");
  const failing = engine.directory("failing-context", {
    Dockerfile: 'FROM busybox\nRUN --mount=type=secret,id=failing,env=WORD [ -n "$WORD" ] && exit 3\n',
  });
  const failed = await buildWith("--no-cache", failing);
  assert.equal(failed.code, 1, failed.stderr);
  await engine.ok("save", "-o", engine.path("saved.tar"), "trusted");
  execFileSync("mkdir", [engine.path("saved")]);
  execFileSync("tar", ["-xf", engine.path("saved.tar"), "-C", engine.path("saved")]);
  const list = await engine.must(engine.hull("builds", "ls", "-q"));
  const said = await Promise.all([
    engine.ok("history", "--no-trunc", "trusted"),
    engine.ok("inspect", "trusted"),
    engine.must(engine.hull("builds", "ls")),
    ...list
      .split("\n")
      .filter(Boolean)
      .map((ref) => engine.must(engine.hull("builds", "inspect", ref))),
    ...["hulld", "hull-buildkitd", "hull-containerd"].map((name) => engine.must(engine.hull("system", "logs", name))),
  ]);
  writeFileSync(engine.path("said"), [built.stdout, built.stderr, failed.stdout, failed.stderr, ...said].join("\n"));
  // What was read is there: a search of nothing finds nothing.
  assert.match(said[0]!, /mount|md5sum/);
  const places = [engine.dataRoot, engine.execRoot, engine.path("saved")];
  const files = places.flatMap((place) => [...filesBelow(place)]);
  assert.ok(files.length > 50, `${files.length} files`);
  assert.deepEqual(found([...files, engine.path("said"), engine.path("saved.tar")]), []);
  await engine.endDaemon("SIGTERM");
  assert.deepEqual(found(filesBelow(engine.dataRoot)), []);
});
