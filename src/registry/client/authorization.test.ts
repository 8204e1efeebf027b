import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { test } from "node:test";
import { codeOf, HullError, messageOf } from "../../platform/errors.ts";
import { webFetch } from "../../platform/web-fetch.ts";
import { parseChallenges } from "./challenge.ts";
import { canonicalRegistry, credentialsFor, decodeWireAuth } from "./credentials.ts";
import { FakeRegistry, openRepository, refuse, someone } from "./fake-registry.ts";
import { login } from "./login.ts";
import { checkRealm, isSameSite } from "./realm.ts";
import { RegistryState } from "./requests.ts";
import { defaultSettings } from "./settings.ts";

const document = Buffer.from('{"a":1}');
const basicOf = (user: string, password: string): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
const sent = (response: ServerResponse, body: Buffer): true => {
  response.end(body);
  return true;
};
const json = (response: ServerResponse, value: object): true => {
  response.end(JSON.stringify(value));
  return true;
};

/** Demands tokens that it gives at /token; `accept` says which are good. */
function tokenRegistry(
  accept: (token: string) => boolean,
  give: (url: string, headers: Record<string, unknown>) => object | undefined,
) {
  return FakeRegistry.start((request, response) => {
    if (request.url!.startsWith("/token")) {
      const given = give(request.url!, request.headers);
      if (given) return json(response, given);
      refuse(response, 401, "UNAUTHORIZED", "incorrect username or password");
      return true;
    }
    if (accept((request.headers.authorization ?? "").replace(/^Bearer /, ""))) return false;
    const scope = "repository:team/app:pull";
    refuse(response, 401, "UNAUTHORIZED", "authentication required", {
      "WWW-Authenticate": `Bearer realm="/token",service="s",scope="${scope}"`,
    });
    return true;
  });
}

test("a bearer challenge is answered with a token, which is asked for once", async () => {
  await using registry = await tokenRegistry(
    (token) => token === "t1",
    () => ({ token: "t1", expires_in: 300 }),
  );
  const digest = registry.put(document);
  const repository = await openRepository(registry);
  await Promise.all([1, 2, 3].map(() => repository.getDocument(digest)));
  const tokens = registry.seen.filter(({ url }) => url.startsWith("/token"));
  assert.equal(tokens.length, 1);
  const { searchParams } = new URL(tokens[0]!.url, "http://x");
  assert.deepEqual([searchParams.get("service"), searchParams.get("scope")], ["s", "repository:team/app:pull"]);
  assert.equal(tokens[0]!.headers.authorization, undefined);
});

test("a password goes to the token server, an identity token too, and neither to the registry", async () => {
  await using registry = await tokenRegistry(
    (token) => token === "t",
    () => ({ access_token: "t" }),
  );
  const digest = registry.put(document);
  await (await openRepository(registry, { credentials: someone })).getDocument(digest);
  const [first] = registry.seen.filter(({ url }) => url.startsWith("/token"));
  assert.equal(first!.headers.authorization, basicOf("ann", "s3cret"));
  const identity = { ...someone, username: "<token>", password: "", identityToken: "refresh" };
  await (await openRepository(registry, { credentials: identity })).getDocument(digest);
  assert.deepEqual(registry.asked("POST"), ["/token"]);
  const toRegistry = registry.seen.filter(({ url }) => url.startsWith("/v2/"));
  assert.ok(toRegistry.every(({ headers }) => [undefined, "Bearer t"].includes(headers.authorization)));
});

test("a token that has ended is replaced, once", async () => {
  let given = 0;
  let accepted = "t1";
  await using registry = await tokenRegistry(
    (token) => token === accepted,
    () => ({ token: `t${++given}` }),
  );
  const digest = registry.put(document);
  const state = new RegistryState(webFetch);
  await (await openRepository(registry, { state })).getDocument(digest);
  accepted = "t2";
  await (await openRepository(registry, { state })).getDocument(digest);
  accepted = "never";
  await assert.rejects(
    (await openRepository(registry, { state })).getDocument(digest),
    (error) => codeOf(error) === "unauthenticated",
  );
  assert.ok(given <= 4, `${given} tokens`);
});

const basicRegistry = () =>
  FakeRegistry.start((request, response) => {
    if (request.headers.authorization === basicOf("ann", "s3cret")) {
      if (request.url !== "/v2/") return false;
      response.end("{}");
      return true;
    }
    refuse(response, 401, "UNAUTHORIZED", "authentication required", { "WWW-Authenticate": 'Basic realm="r"' });
    return true;
  });

test("a basic challenge is answered with the password; without one it is said in Docker's words", async () => {
  await using registry = await basicRegistry();
  const digest = registry.put(document);
  assert.deepEqual(await (await openRepository(registry, { credentials: someone })).getDocument(digest), document);
  const expected = `Get "http://${registry.host}/v2/team/app/blobs/${digest}": no basic auth credentials`;
  await assert.rejects((await openRepository(registry)).getDocument(digest), (error) => messageOf(error) === expected);
});

test("a login answers what the registry says", async () => {
  await using registry = await basicRegistry();
  const state = new RegistryState(webFetch);
  const request = {
    server: registry.host,
    settings: { ...defaultSettings, certDirectories: [] },
    signal: AbortSignal.timeout(5000),
  };
  assert.equal(await login(state, { ...request, credentials: someone }), "");
  await assert.rejects(login(state, { ...request, credentials: { ...someone, password: "no" } }), (error) => {
    assert.equal(messageOf(error), `login attempt to http://${registry.host}/v2/ failed with status: 401 Unauthorized`);
    return codeOf(error) === "unauthenticated";
  });
});

test("a login at a registry with tokens gives the identity token", async () => {
  await using registry = await tokenRegistry(
    (token) => token === "t",
    (_url, headers) =>
      headers.authorization === basicOf("ann", "s3cret") ? { token: "t", refresh_token: "identity" } : undefined,
  );
  registry.special = ((before) => async (request, response) => {
    if (request.url === "/v2/" && request.headers.authorization === "Bearer t") return json(response, {});
    return before(request, response);
  })(registry.special);
  const request = {
    server: registry.host,
    settings: { ...defaultSettings, certDirectories: [] },
    signal: AbortSignal.timeout(5000),
  };
  assert.equal(await login(new RegistryState(webFetch), { ...request, credentials: someone }), "identity");
  const wrong = login(new RegistryState(webFetch), { ...request, credentials: { ...someone, password: "no" } });
  await assert.rejects(
    wrong,
    (error) => codeOf(error) === "unauthenticated" && /incorrect username or password/.test(messageOf(error)),
  );
});

test("a redirect to another origin carries neither credentials nor the registry's headers", async () => {
  await using store = await FakeRegistry.start((_request, response) => sent(response, document));
  await using registry = await FakeRegistry.start((request, response) => {
    if (request.headers.authorization === undefined) {
      refuse(response, 401, "UNAUTHORIZED", "", { "WWW-Authenticate": 'Basic realm="r"' });
      return true;
    }
    response.writeHead(307, { Location: `http://${store.host}/signed?secret=1` }).end();
    return true;
  });
  const digest = registry.put(document);
  await (await openRepository(registry, { credentials: someone })).getDocument(digest);
  assert.deepEqual(
    store.seen.map(({ headers }) => headers.authorization),
    [undefined],
  );
});

test("a redirected request that is challenged elsewhere is not answered with our credentials", async () => {
  await using store = await FakeRegistry.start((_request, response) => {
    refuse(response, 401, "UNAUTHORIZED", "", { "WWW-Authenticate": 'Basic realm="steal"' });
    return true;
  });
  await using registry = await FakeRegistry.start((_request, response) => {
    response.writeHead(307, { Location: `http://${store.host}/x` }).end();
    return true;
  });
  const digest = registry.put(document);
  await assert.rejects((await openRepository(registry, { credentials: someone })).getDocument(digest));
  assert.ok(store.seen.length > 0 && store.seen.every(({ headers }) => headers.authorization === undefined));
});

const realmCases: readonly [string, string, boolean, string][] = [
  ["https://registry-1.docker.io/v2", "https://auth.docker.io/token", true, "the same site"],
  ["https://registry.example.com/v2", "https://evil.example.org/token", false, "another site"],
  ["https://ghcr.io/v2", "https://evil-ghcr.io/token", false, "a name that only ends alike"],
  ["https://a.co.uk/v2", "https://b.co.uk/token", false, "a public suffix of two labels"],
  ["https://registry.example.com/v2", "http://registry.example.com/token", false, "without TLS"],
  ["http://127.0.0.1:5000/v2", "http://169.254.169.254/latest", false, "cloud metadata"],
  ["https://r.example.com/v2", "https://u:p@r.example.com/token", false, "a user in the address"],
  ["http://127.0.0.1:5000/v2", "http://localhost:5001/token", true, "this machine"],
  ["https://r.example.com/v2", "https://trusted.example.org/token", true, "a realm that the administrator lists"],
];
for (const [root, realm, allowed, what] of realmCases) {
  test(`credentials ${allowed ? "go" : "do not go"} to a token server: ${what}`, () => {
    const check = () => checkRealm(realm, { root, credentials: someone, trustedRealms: ["trusted.example.org"] });
    if (allowed) assert.equal(check().href, new URL(realm).href);
    else assert.throws(check, (error) => error instanceof HullError && error.code === "permission-denied");
  });
}

test("anybody may ask another site's token server without credentials, but not the machine's own network", () => {
  const ask = (realm: string) =>
    checkRealm(realm, { root: "https://r.example.com/v2", credentials: undefined, trustedRealms: [] });
  assert.equal(ask("https://elsewhere.org/token").host, "elsewhere.org");
  assert.throws(() => ask("https://169.254.169.254/token"));
  assert.equal(isSameSite("10.0.0.1", "10.0.0.2"), false);
});

test("credentials are a registry's own only: hosts are compared whole", () => {
  const auth = { username: "u", password: "p" };
  assert.equal(credentialsFor("evil-ghcr.io", { ...auth, serveraddress: "ghcr.io" }), undefined);
  assert.equal(credentialsFor("docker.io", { ...auth, serveraddress: "https://index.docker.io/v1/" })?.username, "u");
  assert.equal(credentialsFor("r:5000", { ...auth, serveraddress: "http://r:5000/v2/" })?.password, "p");
  assert.equal(credentialsFor("r:5000", {}), undefined);
  assert.equal(canonicalRegistry("registry-1.docker.io"), "docker.io");
  assert.equal(decodeWireAuth("not json"), undefined);
  assert.deepEqual(decodeWireAuth(Buffer.from('{"username":"a","password":3}').toString("base64url")), {
    username: "a",
  });
});

test("challenges are read with quotes, escapes and several schemes", () => {
  assert.deepEqual(parseChallenges('Bearer realm="https://a/t?x=1,2",service="a \\"b\\"", scope=x, Basic realm=r'), [
    { scheme: "bearer", parameters: { realm: "https://a/t?x=1,2", service: 'a "b"', scope: "x" } },
    { scheme: "basic", parameters: { realm: "r" } },
  ]);
  assert.deepEqual(parseChallenges(""), []);
});

test("a registry that nobody serves is said to refuse, as dockerd says it", async () => {
  const registry = await FakeRegistry.start();
  const { host } = registry;
  const repository = await openRepository(registry);
  await registry[Symbol.asyncDispose]();
  const expected = `Get "http://${host}/v2/": dial tcp ${host}: connect: connection refused`;
  await assert.rejects(repository.getManifest("x"), (error) => messageOf(error) === expected);
});
