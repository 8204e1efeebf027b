/** Registries that want to know who asks, or have certificates of their own: logins, pulls, pushes and builds from them. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Ran, run, TestEngine } from "../engine.ts";
import { TestRegistry } from "../registry.ts";
import { root } from "../tidy/source-tree.ts";

let engine: TestEngine;
let registry: TestRegistry;
let config = "";
before(async () => {
  registry = await TestRegistry.start({ user: { name: "ann", password: "s3cret" } });
  engine = await TestEngine.start();
  config = engine.path("client");
});
after(async () => {
  await engine?.[Symbol.asyncDispose]();
  await registry?.[Symbol.asyncDispose]();
});

type Client = "docker" | "hull";
const program = (client: Client): string => (client === "docker" ? "docker" : join(root, "dist/bin/hull"));
const clientEnv = (more: Readonly<Record<string, string>> = {}) => ({
  DOCKER_HOST: `unix://${engine.socket}`,
  ...more,
});
const as = (client: Client, ...args: string[]): Promise<Ran> =>
  run([program(client), "--config", config, ...args], clientEnv());
const asWith = (client: Client, env: Readonly<Record<string, string>>, ...args: string[]): Promise<Ran> =>
  run([program(client), "--config", config, ...args], clientEnv(env));

for (const client of ["docker", "hull"] as const) {
  test(`${client} login: wrong, right, what it opens, and logout`, async () => {
    const name = `${registry.host}/${client}/app:1`;
    await engine.ok("tag", "busybox", name);
    assert.match((await as(client, "push", name)).stderr, /no basic auth credentials/);
    const wrong = await as(client, "login", "-u", "ann", "-p", "no", registry.host);
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /login attempt to http:\/\/127\.0\.0\.1:\d+\/v2\/ failed with status: 401 Unauthorized/);
    const input = { input: "s3cret\n" };
    const right = await run(
      [program(client), "--config", config, "login", "-u", "ann", "--password-stdin", registry.host],
      clientEnv(),
      input,
    );
    assert.match(right.stdout, /Login Succeeded/);
    assert.match(readFileSync(join(config, "config.json"), "utf8"), new RegExp(`"${registry.host}"`));
    const pushed = await as(client, "push", name);
    assert.equal(pushed.code, 0, pushed.stderr);
    await engine.ok("rmi", name);
    const pulled = await as(client, "pull", name);
    assert.equal(pulled.code, 0, pulled.stderr);
    await engine.ok("rmi", name);
    assert.equal((await as(client, "run", "--rm", name, "echo", "ran")).stdout, "ran\n");
    const inspected = await as(client, "manifest", "inspect", ...(client === "docker" ? ["--insecure"] : []), name);
    assert.equal(inspected.code, 0, inspected.stderr);
    assert.match(inspected.stdout, /"schemaVersion": 2/);
    assert.equal(
      (await as(client, "logout", registry.host)).stdout,
      `Removing login credentials for ${registry.host}\n`,
    );
    assert.notEqual((await as(client, "pull", name)).code, 0);
  });
}

test("hull takes credentials from DOCKER_AUTH_CONFIG", async () => {
  const name = `${registry.host}/hull/app:1`;
  const auth = Buffer.from("ann:s3cret").toString("base64");
  const env = { DOCKER_AUTH_CONFIG: JSON.stringify({ auths: { [registry.host]: { auth } } }) };
  const pulled = await asWith("hull", env, "pull", name);
  assert.equal(pulled.code, 0, pulled.stderr);
});

const builds: readonly (readonly [string, Client, Readonly<Record<string, string>>])[] = [
  ["the classic builder", "docker", { DOCKER_BUILDKIT: "0" }],
  ["hull build", "hull", {}],
];
for (const [what, client, env] of builds) {
  test(`base images that are missing are pulled with the client's credentials: ${what}`, async () => {
    const base = `${registry.host}/${client}/app:1`;
    await as(client, "login", "-u", "ann", "-p", "s3cret", registry.host);
    await engine.docker("rmi", "-f", base);
    const context = engine.path(`context-${client}`);
    mkdirSync(context);
    writeFileSync(
      join(context, "Dockerfile"),
      `FROM ${base}\nCOPY --from=${base} /bin/busybox /copied\nRUN echo ${client} > /who\nCMD cat /who\n`,
    );
    const built = await asWith(client, env, "build", "-t", `built-${client}`, context);
    assert.equal(built.code, 0, built.stdout + built.stderr);
    assert.equal(await engine.ok("run", "--rm", `built-${client}`), client);
    const again = await asWith(client, env, "build", "--pull", "-t", `built-${client}`, context);
    assert.equal(again.code, 0, again.stdout + again.stderr);
    writeFileSync(join(context, "Dockerfile"), `FROM ${registry.host}/${client}/nothing:1\n`);
    const missing = await asWith(client, env, "build", context);
    assert.notEqual(missing.code, 0);
    assert.match(missing.stdout + missing.stderr, /manifest unknown/);
    await as(client, "logout", registry.host);
  });
}

test("a registry with its own certificate is refused, until the administrator says otherwise", async () => {
  const address = await engine.ok("network", "inspect", "bridge", "-f", "{{(index .IPAM.Config 0).Gateway}}");
  await using secure = await TestRegistry.start({ tls: true, address });
  const name = `${secure.host}/a/b:1`;
  await using other = await TestEngine.start({ args: ["--config-file", daemonFile({})] });
  await other.ok("tag", "busybox", name);
  assert.match(
    (await other.docker("push", name)).stderr + (await other.docker("pull", name)).stderr,
    /x509: certificate signed by unknown authority/,
  );
  daemonFile({ "insecure-registries": [secure.host], "max-concurrent-uploads": 2 });
  process.kill(other.daemonPid, "SIGHUP");
  await other.ok("push", name);
  const info = JSON.parse(await other.ok("info", "--format", "{{json .RegistryConfig}}")) as {
    IndexConfigs: Record<string, { Secure: boolean }>;
  };
  assert.equal(info.IndexConfigs[secure.host]?.Secure, false);
});

/** Of the engine that has settings of its own. */
function daemonFile(settings: object): string {
  const path = engine.path("daemon.json");
  writeFileSync(path, JSON.stringify(settings));
  return path;
}

test("a mirror serves what another registry has, for any registry", async () => {
  await using mirror = await TestRegistry.start();
  const mirrored = `${mirror.host}/lib/app:1`;
  await engine.ok("tag", "busybox", mirrored);
  await engine.ok("push", mirrored);
  await using other = await TestEngine.start({
    withoutImage: true,
    args: ["--registry-mirror", `registry.invalid=${mirror.url}`],
  });
  const pulled = await other.ok("pull", "registry.invalid/lib/app:1");
  assert.match(pulled, /Status: Downloaded newer image for registry\.invalid\/lib\/app:1/);
  assert.equal(await other.ok("run", "--rm", "registry.invalid/lib/app:1", "echo", "mirrored"), "mirrored");
});

test("docker search asks the v1 endpoint of a registry", async () => {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    seen.push(request.url!);
    const results = [
      { name: "tools/a", description: "first", star_count: 3, is_official: true },
      { name: "tools/b", description: "second", star_count: 1, is_official: false },
    ];
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify({ results }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    for (const client of ["docker", "hull"] as const) {
      const found = await as(client, "search", "--limit", "7", "--filter", "stars=2", `${host}/tools`);
      assert.match(found.stdout, /^NAME +DESCRIPTION +STARS +OFFICIAL\ntools\/a +first +3 +\[OK\]\s*$/, found.stderr);
    }
    assert.ok(seen.includes("/v1/search?q=tools&n=7"), String(seen));
  } finally {
    server.close();
  }
});
