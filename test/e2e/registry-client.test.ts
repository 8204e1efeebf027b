/** Pulls and pushes between an engine and Debian's docker-registry, with skopeo as the second opinion. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { processesOf, run, TestEngine, until } from "../engine.ts";
import { TestRegistry } from "../registry.ts";
import { SlowProxy } from "../slow-proxy.ts";

const digestOf = (bytes: string | Buffer): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
const LAYER_BYTES = 24 * 1024 * 1024;

let engine: TestEngine;
let registry: TestRegistry;
before(async () => {
  registry = await TestRegistry.start();
  engine = await TestEngine.start();
  const context = engine.path("context");
  mkdirSync(context);
  writeFileSync(join(context, "data"), randomBytes(LAYER_BYTES));
  writeFileSync(
    join(context, "Dockerfile"),
    "FROM busybox\nCOPY data /data\nRUN echo two > /two\nENV A=b\nCMD cat /two\n",
  );
  await engine.must(
    run(["docker", "build", "-q", "-t", "built", context], {
      DOCKER_HOST: `unix://${engine.socket}`,
      DOCKER_BUILDKIT: "0",
    }),
  );
});
after(async () => {
  await engine?.[Symbol.asyncDispose]();
  await registry?.[Symbol.asyncDispose]();
});

interface Manifest {
  readonly mediaType: string;
  readonly config: { readonly mediaType: string; readonly digest: string; readonly size: number };
  readonly layers: readonly { readonly mediaType: string; readonly digest: string; readonly size: number }[];
}

const manifestOf = async (name: string): Promise<{ readonly text: string; readonly parsed: Manifest }> => {
  const text = (await engine.must(registry.inspect(name))).trim();
  return { text, parsed: JSON.parse(text) as Manifest };
};

/** Removes the image that the name stands for, with all its names and what builds keep of it. */
const forget = async (name: string): Promise<void> => {
  await engine.ok("rmi", "-f", await engine.inspect(name, "{{.Id}}"));
  await engine.ok("builder", "prune", "-af");
};

/** An image that no longer has a name is not collected at once. */
const collected = (bytes: number): Promise<void> =>
  until("its content is collected", () => bytesOf(join(engine.dataRoot, "containerd/content/blobs/sha256")) < bytes);

const bytesOf = (directory: string): number =>
  readdirSync(directory).reduce(
    (sum, name) => sum + (statSync(join(directory, name), { throwIfNoEntry: false })?.size ?? 0),
    0,
  );

test("what was built is pushed as gzip, and pulled again it is the same image", async () => {
  const name = `${registry.host}/team/app:1`;
  const id = await engine.inspect("built", "{{.Id}}");
  await engine.ok("tag", "built", name);
  const pushed = await engine.ok("push", name);
  assert.match(pushed, /^The push refers to repository \[127\.0\.0\.1:\d+\/team\/app\]\n/);
  assert.match(pushed, /\n[0-9a-f]{12}: Preparing\n/);
  assert.match(pushed, /\n[0-9a-f]{12}: Pushed\n/);
  const { text, parsed } = await manifestOf("team/app:1");
  assert.match(pushed, new RegExp(`\\n1: digest: ${digestOf(text)} size: ${text.length}$`));
  assert.ok(
    parsed.layers.every(({ mediaType }) => /gzip$/.test(mediaType)),
    text,
  );
  assert.deepEqual(JSON.parse(await engine.inspect(name, "{{json .RepoDigests}}")), [
    `${registry.host}/team/app@${digestOf(text)}`,
  ]);
  assert.equal(parsed.config.digest, id);

  const again = await engine.ok("push", name);
  assert.equal(again.match(/Layer already exists/g)?.length, parsed.layers.length);
  assert.ok(!/: Pushed/.test(again), again);
  const mounted = `${registry.host}/other/copy:1`;
  await engine.ok("tag", name, mounted);
  assert.match(await engine.ok("push", mounted), /: Mounted from team\/app\n/);

  await forget(name);
  await collected(LAYER_BYTES);
  const pulled = await engine.ok("pull", name);
  const lines = pulled.split("\n");
  assert.equal(lines[0], "1: Pulling from team/app");
  for (const { digest } of parsed.layers) {
    const short = digest.slice(7, 19);
    for (const word of ["Pulling fs layer", "Verifying Checksum", "Download complete", "Pull complete"])
      assert.ok(lines.includes(`${short}: ${word}`), `${short}: ${word}\n${pulled}`);
  }
  assert.deepEqual(lines.slice(-3), [`Digest: ${digestOf(text)}`, `Status: Downloaded newer image for ${name}`, name]);
  assert.equal(await engine.inspect(name, "{{.Id}}"), id);
  assert.equal(await engine.ok("run", "--rm", name), "two");
  assert.match(await engine.ok("pull", name), new RegExp(`Status: Image is up to date for ${name}\\n`));
});

test("an image by digest, every tag of a repository, and hull's pull of what run lacks", async () => {
  const repository = `${registry.host}/team/many`;
  for (const tag of ["a", "b"]) {
    await engine.ok("tag", "busybox", `${repository}:${tag}`);
    await engine.must(engine.hull("push", `${repository}:${tag}`));
  }
  const { text } = await manifestOf("team/many:a");
  await engine.ok("rmi", `${repository}:a`, `${repository}:b`);
  const byDigest = `${repository}@${digestOf(text)}`;
  assert.match(
    await engine.ok("pull", byDigest),
    new RegExp(`Digest: ${digestOf(text)}\\nStatus: Downloaded newer image for ${byDigest}\\n`),
  );
  await engine.ok("rmi", byDigest);
  const all = await engine.ok("pull", "-a", repository);
  assert.deepEqual(all.match(/^\w+: Pulling from team\/many$/gm)?.sort(), [
    "a: Pulling from team/many",
    "b: Pulling from team/many",
  ]);
  await engine.ok("rmi", `${repository}:a`, `${repository}:b`);
  const ran = await engine.hull("run", "--rm", `${repository}:b`, "echo", "here");
  assert.equal(ran.stdout, "here\n");
  assert.match(ran.stderr, /^Unable to find image '.*:b' locally\nb: Pulling from team\/many\n/);
  await engine.must(engine.hull("pull", `${repository}:a`));
  const pushed = await engine.must(engine.hull("push", "-a", repository));
  assert.deepEqual(pushed.match(/^\w: digest: /gm)?.sort(), ["a: digest: ", "b: digest: "]);
});

/** The pushed busybox as an image of two platforms that share their layers. */
async function makeMultiPlatform(): Promise<{ readonly index: string; readonly digest: string }> {
  const { text, parsed } = await manifestOf("team/many:a");
  const config = JSON.parse(readFileSync(registry.blobPath(parsed.config.digest), "utf8")) as Record<string, unknown>;
  const other = JSON.stringify({ ...config, architecture: "s390x" });
  const base = `${registry.url}/v2/team/many`;
  const opened = await fetch(`${base}/blobs/uploads/`, { method: "POST" });
  const location = new URL(opened.headers.get("location")!, base);
  location.searchParams.set("digest", digestOf(other));
  assert.equal((await fetch(location, { method: "PUT", body: other })).status, 201);
  const manifest = JSON.stringify({
    ...parsed,
    config: { ...parsed.config, digest: digestOf(other), size: other.length },
  });
  const put = async (name: string, body: string, mediaType: string) => {
    const answer = await fetch(`${base}/manifests/${name}`, {
      method: "PUT",
      body,
      headers: { "Content-Type": mediaType },
    });
    assert.equal(answer.status, 201, await answer.text());
  };
  await put(digestOf(manifest), manifest, parsed.mediaType);
  const entry = (body: string, architecture: string) => ({
    mediaType: parsed.mediaType,
    digest: digestOf(body),
    size: body.length,
    platform: { os: "linux", architecture },
  });
  const mediaType = "application/vnd.oci.image.index.v1+json";
  const index = JSON.stringify({
    schemaVersion: 2,
    mediaType,
    manifests: [entry(manifest, "s390x"), entry(text, process.arch === "arm64" ? "arm64" : "amd64")],
  });
  await put("multi", index, mediaType);
  return { index, digest: digestOf(index) };
}

test("of an image for several platforms this machine's is taken, or the one that is asked for", async () => {
  const name = `${registry.host}/team/many:multi`;
  const { digest } = await makeMultiPlatform();
  assert.match(await engine.ok("pull", name), new RegExp(`Digest: ${digest}\\n`));
  assert.equal(await engine.ok("run", "--rm", name, "echo", "native"), "native");
  assert.ok((await engine.inspect(name, "{{.RepoDigests}}")).includes(`@${digest}`));
  await engine.ok("pull", "--platform", "linux/s390x", name);
  assert.equal(await engine.inspect(name, "{{.Architecture}}"), "s390x");
  const missing = await engine.docker("pull", "--platform", "linux/riscv64", name);
  assert.match(missing.stderr, /no matching manifest for linux\/riscv64 in the manifest list entries/);
  const asked = await run(["curl", "-s", "--unix-socket", engine.socket, `http://x/distribution/${name}/json`], {});
  const answer = JSON.parse(asked.stdout) as { Descriptor: { digest: string }; Platforms: { architecture: string }[] };
  assert.equal(answer.Descriptor.digest, digest);
  assert.deepEqual(answer.Platforms.map(({ architecture }) => architecture)[0], "s390x");
  await engine.ok("pull", name);
  assert.equal(await engine.inspect(name, "{{.Architecture}}"), process.arch === "arm64" ? "arm64" : "amd64");
});

test("a blob with other bytes than its digest says is refused and never seen", async () => {
  const name = `${registry.host}/team/app:1`;
  const { parsed } = await manifestOf("team/app:1");
  await forget(name);
  await collected(LAYER_BYTES);
  const largest = parsed.layers.toSorted((a, b) => b.size - a.size)[0]!;
  const path = registry.blobPath(largest.digest);
  const good = readFileSync(path);
  const bad = Buffer.from(good);
  bad[good.length >> 1]! ^= 0xff;
  writeFileSync(path, bad);
  const pulled = await engine.docker("pull", name);
  assert.notEqual(pulled.code, 0);
  assert.match(pulled.stderr, new RegExp(`filesystem layer verification failed for digest ${largest.digest}`));
  assert.notEqual((await engine.docker("image", "inspect", name)).code, 0);
  writeFileSync(path, good);
  await engine.ok("pull", name);
  assert.equal(await engine.ok("run", "--rm", name, "sh", "-c", "wc -c < /data"), String(LAYER_BYTES));
});

const named = (program: string): number[] =>
  processesOf(engine.execRoot).filter(
    (pid) =>
      readFileSync(`/proc/${pid}/cmdline`, "utf8").startsWith(program) ||
      readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(`/${program}\0`),
  );

test("a pull that is cut off by a SIGKILL of hull-containerd goes on where it was", async () => {
  await using proxy = await SlowProxy.start(registry.host);
  const name = `${proxy.host}/team/app:1`;
  await forget(`${registry.host}/team/app:1`);
  await collected(LAYER_BYTES);
  proxy.bytesPerSecond = 6 * 1024 * 1024;
  const cut = engine.docker("pull", name);
  await until("half of the layer has come", () => proxy.blobBytes > LAYER_BYTES / 2);
  for (const pid of named("hull-containerd")) process.kill(pid, "SIGKILL");
  assert.notEqual((await cut).code, 0);
  const before = proxy.blobBytes;
  proxy.bytesPerSecond = Number.POSITIVE_INFINITY;
  await until("hull-containerd is back", async () => (await engine.docker("images")).code === 0);
  await engine.ok("pull", name);
  const more = proxy.blobBytes - before;
  assert.ok(more < LAYER_BYTES * 0.75, `${more} more bytes after ${before}`);
  assert.ok(proxy.requests.some(({ range }) => /^bytes=[1-9]/.test(range ?? "")));
  assert.equal(await engine.ok("run", "--rm", name, "sh", "-c", "wc -c < /data"), String(LAYER_BYTES));
  await forget(name);
  await collected(LAYER_BYTES);
});

test("many pulls at once fetch each blob once, and the API answers meanwhile", async () => {
  await using proxy = await SlowProxy.start(registry.host);
  proxy.bytesPerSecond = 16 * 1024 * 1024;
  const name = `${proxy.host}/team/app:1`;
  const pulls = Array.from({ length: 6 }, () => engine.docker("pull", "-q", name));
  await until("bytes come", () => proxy.blobBytes > 1024 * 1024);
  const began = performance.now();
  await engine.ok("ps");
  const listed = performance.now() - began;
  for (const ran of await Promise.all(pulls)) assert.equal(ran.code, 0, ran.stderr);
  const blobs = proxy.requests
    .filter(({ method, url }) => method === "GET" && url.includes("/blobs/"))
    .map(({ url }) => url);
  const { parsed } = await manifestOf("team/app:1");
  const times = parsed.layers.map(({ digest }) => blobs.filter((url) => url.endsWith(digest)).length);
  // The base image's layer is here: other names have it.
  assert.deepEqual(times, [0, 1, 1]);
  assert.ok(listed < 3000, `docker ps took ${listed} ms`);
  await forget(name);
  await collected(LAYER_BYTES);
});

test("a registry that is started again in the middle of a pull is waited for", async () => {
  await using proxy = await SlowProxy.start(registry.host);
  const name = `${proxy.host}/team/app:1`;
  proxy.bytesPerSecond = 8 * 1024 * 1024;
  const pulling = engine.docker("pull", name);
  await until("some of the layer has come", () => proxy.blobBytes > LAYER_BYTES / 4);
  await registry.close();
  await registry.open();
  const pulled = await pulling;
  assert.equal(pulled.code, 0, pulled.stderr);
  await forget(name);
  await collected(LAYER_BYTES);
});

test("what is not there is said in Docker's words, with a status before the first line", async () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    [
      `${registry.host}/team/app:nope`,
      /^Error response from daemon: manifest for 127\.0\.0\.1:\d+\/team\/app:nope not found: manifest unknown: manifest unknown$/,
    ],
    ["127.0.0.1:1/x:y", /Get "http:\/\/127\.0\.0\.1:1\/v2\/": dial tcp 127\.0\.0\.1:1: connect: connection refused$/],
  ];
  for (const [name, words] of cases) assert.match((await engine.docker("pull", name)).stderr.trim(), words);
  const asked = await run(
    [
      "curl",
      "-s",
      "-o",
      "/dev/null",
      "-w",
      "%{http_code}",
      "--unix-socket",
      engine.socket,
      "-X",
      "POST",
      `http://x/images/create?fromImage=${registry.host}/team/app&tag=nope`,
    ],
    {},
  );
  assert.equal(asked.stdout, "404");
  const push = await engine.docker("push", `${registry.host}/never/made:1`);
  assert.match(push.stderr, /An image does not exist locally with the tag: 127\.0\.0\.1:\d+\/never\/made/);
});
