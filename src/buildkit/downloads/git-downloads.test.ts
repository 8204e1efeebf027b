import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { KeelServe } from "../../keel/serve.ts";
import { codeOf, type ErrorCode, messageOf } from "../../platform/errors.ts";
import { ContextReceiver } from "../context/receive.ts";
import type { FileTree } from "../files/entry.ts";
import { objectName } from "../files/object-name.ts";
import { parseGitReference } from "../graph/git-reference.ts";
import type { Secrets } from "../solver/ports.ts";
import { GitDownloads, type GitSource } from "./git-downloads.ts";
import { type GitServer, serveGit, TestRepository } from "./git-harness.ts";
import { GitTrees } from "./git-trees.ts";

let keel: KeelServe;
let directory: string;
let server: GitServer;
let app: TestRepository;
const commits: string[] = [];

before(async () => {
  keel = await KeelServe.open();
  directory = mkdtempSync(join(tmpdir(), "hull-git-"));
  server = await serveGit(join(directory, "remotes"));
  app = new TestRepository(join(directory, "remotes/app"));
  commits.push(app.commit({ "a.txt": "one", "dir/b.sh": "#!/bin/sh\n" }));
  chmodSync(join(app.directory, "dir/b.sh"), 0o755);
  symlinkSync("../a.txt", join(app.directory, "dir/link"));
  symlinkSync("/etc", join(app.directory, "out"));
  symlinkSync("dir", join(app.directory, "in"));
  commits.push(app.commit({ "a.txt": "two" }));
  app.git("tag", "-a", "-m", "of v1", "v1", commits[0]!);
  app.git("tag", "light", commits[0]!);
  app.git("branch", "feature", commits[0]!);
});
after(async () => {
  server[Symbol.dispose]();
  await keel[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

const secretsOf = (values: Readonly<Record<string, string>>): Secrets => ({
  secret: async (id) => (values[id] === undefined ? undefined : Buffer.from(values[id])),
  sshAgent: async () => undefined,
});

let stores = 0;
function newStore(more: { readonly stallMs?: number } = {}) {
  const own = join(directory, `store-${stores++}`);
  const contexts = new ContextReceiver({ keel, directory: join(own, "contexts"), warn: () => {} });
  const objects = join(own, "contexts/objects");
  const trees = new GitTrees(join(own, "git/trees"), objects);
  const git = new GitDownloads({
    ...{ directory: join(own, "git"), trees, receive: contexts.receiveWritten.bind(contexts), ...more },
  });
  const open = (source: GitSource, values: Readonly<Record<string, string>> = {}, signal = timeout()) =>
    git.open(source, { secrets: secretsOf(values), proxies: {}, signal });
  return { own, git, open, objects };
}
const timeout = (): AbortSignal => AbortSignal.timeout(50_000);

/** As a Dockerfile names it, below the server. */
function source(text: string, more: Partial<GitSource> = {}): GitSource {
  const parsed = parseGitReference(/:\/\/|^git@/.test(text) ? text : `${server.url}/${text}`)!;
  assert.ok(parsed, text);
  return { ...parsed, keepGitDirectory: parsed.keepGitDirectory ?? false, ...more };
}

const namesIn = ({ entries }: FileTree): string[] => entries.map(({ path }) => path).filter((path) => path !== "");
function textIn(tree: FileTree, path: string): string {
  const entry = tree.entries.find((one) => one.path === path);
  assert.ok(entry, `${path} in ${namesIn(tree).join(" ")}`);
  assert.ok(tree.source.kind === "store");
  const name = objectName(entry);
  return readFileSync(join(tree.source.directory, name.slice(0, 2), name), "utf8");
}

for (const [text, expected] of [
  ["app.git", () => commits[1]],
  ["app.git#main", () => commits[1]],
  ["app.git#HEAD", () => commits[1]],
  ["app.git#feature", () => commits[0]],
  ["app.git#v1", () => commits[0]],
  ["app.git#light", () => commits[0]],
  ["app.git#refs/heads/feature", () => commits[0]],
  ["app.git?tag=v1", () => commits[0]],
  ["app.git?branch=feature", () => commits[0]],
] as const)
  test(`${text} is settled before anything is fetched`, async () => {
    const { own, open } = newStore();
    assert.equal((await open(source(text))).commit, expected());
    assert.deepEqual(readdirSync(join(own, "git/repositories")), []);
  });

test("a checkout has the commit's files with their modes, its time, root as their owner, and no .git", async () => {
  const tree = await (await newStore().open(source("app.git"))).tree();
  assert.deepEqual(namesIn(tree), ["a.txt", "dir", "dir/b.sh", "dir/link", "in", "out"]);
  assert.equal(textIn(tree, "a.txt"), "two");
  const facts = tree.entries
    .filter(({ path }) => path !== "")
    .map(({ path, mode, uid, gid, mtimeNs, linkTarget }) => [path, mode.toString(8), uid, gid, mtimeNs, linkTarget]);
  const time = 1_500_000_000_000_000_000n;
  assert.deepEqual(facts.slice(0, 4), [
    ["a.txt", "644", 0, 0, time, ""],
    ["dir", "755", 0, 0, time, ""],
    ["dir/b.sh", "755", 0, 0, time, ""],
    ["dir/link", "777", 0, 0, time, "../a.txt"],
  ]);
});

test("an older commit is fetched by its hash, without asking what the remote has; the second time from here alone", async () => {
  const { open } = newStore();
  server.seen.length = 0;
  const checkout = await open(source(`app.git#${commits[0]}:dir`));
  assert.deepEqual(server.seen, []);
  assert.deepEqual(namesIn(await checkout.tree()), ["b.sh"]);
  server.seen.length = 0;
  assert.deepEqual(namesIn(await (await open(source(`app.git#${commits[0]}:dir`))).tree()), ["b.sh"]);
  assert.deepEqual(server.seen, []);
});

test("a checkout whose files were collected is made again", async () => {
  const { open, objects } = newStore();
  await (await open(source("app.git"))).tree();
  rmSync(objects, { recursive: true });
  mkdirSync(objects);
  assert.equal(textIn(await (await open(source("app.git"))).tree(), "a.txt"), "two");
});

const refused: readonly (readonly [text: string, code: ErrorCode, message: RegExp])[] = [
  ["app.git#:out", "invalid-argument", /subdirectory "out" leads through the link out/],
  ["app.git#:out/ssl", "invalid-argument", /leads through the link out/],
  ["app.git#:in", "invalid-argument", /leads through the link in: name the directory itself/],
  ["app.git#:nowhere", "invalid-argument", /subdirectory "nowhere" is not there/],
  ["app.git#:a.txt", "invalid-argument", /is not a directory/],
  ["app.git#:.git", "invalid-argument", /is not there/],
  ["app.git?keep-git-dir=1&subdir=.git", "invalid-argument", /has .git in it, which is refused/],
  ["app.git#nosuch", "not-found", /repository does not contain ref nosuch/],
  ["app.git#--upload-pack=x", "invalid-argument", /invalid git ref "--upload-pack=x"/],
  ["app.git#a..b", "invalid-argument", /invalid git ref/],
  [`app.git#${"1".repeat(40)}`, "not-found", /the repository does not contain commit 1{40}/],
  ["app.git?ref=main&checksum=1234567", "failed-precondition", /expected checksum to match 1234567, got [0-9a-f]{40}$/],
  ["nosuch.git", "not-found", /nosuch.git/],
];
for (const [text, code, message] of refused)
  test(`${text} is refused, and nothing of it stays`, async () => {
    const { own, open } = newStore();
    await assert.rejects(
      async () => (await open(source(text))).tree(),
      (error) => {
        assert.match(messageOf(error), message);
        assert.equal(codeOf(error), code);
        return true;
      },
    );
    assert.deepEqual(readdirSync(join(own, "git/trees")), []);
    assert.deepEqual(
      readdirSync(join(own, "git")).filter((name) => name.startsWith("incoming-")),
      [],
    );
  });

test("a checksum is the commit's, the tag's or the beginning of either", async () => {
  const { open } = newStore();
  const tag = app.git("rev-parse", "v1");
  assert.notEqual(tag, commits[0]);
  for (const checksum of [commits[0]!, commits[0]!.slice(0, 9), tag.slice(0, 9)])
    assert.equal((await open(source(`app.git?tag=v1&checksum=${checksum}`))).commit, commits[0]);
});

test("--keep-git-dir keeps a repository that git takes for one, at that commit, with its remote", async () => {
  const { open } = newStore();
  const tree = await (await open(source("app.git#feature", { keepGitDirectory: true }))).tree();
  assert.equal(textIn(tree, ".git/HEAD"), `${commits[0]}\n`);
  assert.match(textIn(tree, ".git/config"), /\[remote "origin"\]\n\turl = http:/);
  assert.equal(textIn(tree, ".git/refs/heads/feature"), `${commits[0]}\n`);
  assert.ok(!namesIn(tree).some((name) => /hooks|FETCH_HEAD|logs/.test(name)));
});

test("submodules come too, unless they are not wanted; their own addresses may not be local", async () => {
  const part = new TestRepository(join(directory, "remotes/part"));
  part.commit({ "in-part": "part" });
  const whole = new TestRepository(join(directory, "remotes/whole"));
  whole.git("submodule", "--quiet", "add", `${part.directory}/.git`, "sub");
  whole.git("config", "--file", ".gitmodules", "submodule.sub.url", "../part.git");
  whole.commit({ top: "top" });
  const { open } = newStore();
  const tree = await (await open(source("whole.git"))).tree();
  assert.deepEqual(namesIn(tree), [".gitmodules", "sub", "sub/in-part", "top"]);
  const without = await (await open(source("whole.git?submodules=false"))).tree();
  assert.deepEqual(namesIn(without), [".gitmodules", "sub", "top"]);
  whole.git("config", "--file", ".gitmodules", "submodule.sub.url", `file://${part.directory}/.git`);
  whole.commit({});
  await assert.rejects(async () => (await open(source("whole.git"))).tree(), /transport 'file' not allowed/);
});

test("a private repository is asked for with the client's secret, which is in no error", async () => {
  const token = `Basic ${Buffer.from("x-access-token:t0ken").toString("base64")}`;
  using guarded = await serveGit(join(directory, "remotes"), token);
  const { open, own } = newStore();
  const private_ = source(`${guarded.url}/app.git`);
  await assert.rejects(open(private_), (error) => {
    assert.equal(codeOf(error), "unauthenticated");
    assert.match(messageOf(error), /terminal prompts disabled; give credentials as the secret GIT_AUTH_TOKEN/);
    return true;
  });
  const { host } = new URL(guarded.url);
  for (const name of ["GIT_AUTH_TOKEN", `GIT_AUTH_TOKEN.${host}`])
    assert.deepEqual((await (await open(private_, { [name]: "t0ken" })).tree()).entries.length > 5, true);
  assert.equal((await open(private_, { GIT_AUTH_HEADER: token })).commit, commits[1]);
  const url = guarded.url.replace("http://", "http://x-access-token:t0ken@");
  assert.equal((await open(source(`${url}/app.git`))).commit, commits[1]);
  const search = spawnSync("grep", ["-r", "-l", "-e", "t0ken", "-e", token, own]);
  assert.deepEqual([search.status, search.stdout.toString()], [1, ""]);
});

test("what credentials gave is not given without them", async () => {
  const token = `Basic ${Buffer.from("x-access-token:t0ken").toString("base64")}`;
  using guarded = await serveGit(join(directory, "remotes"), token);
  const { open } = newStore();
  const commit = source(`${guarded.url}/app.git#${commits[0]}`);
  await (await open(commit, { GIT_AUTH_TOKEN: "t0ken" })).tree();
  await assert.rejects(async () => (await open(commit)).tree(), /could not read Username/);
});

test("builds that want one commit at once fetch it once", async () => {
  const { open } = newStore();
  server.seen.length = 0;
  const wanted = source(`app.git#${commits[0]}`);
  const checkouts = await Promise.all([open(wanted), open(wanted), open(wanted)]);
  const trees = await Promise.all(checkouts.map((checkout) => checkout.tree()));
  assert.deepEqual(new Set(trees.map((tree) => namesIn(tree).join())), new Set(["a.txt,dir,dir/b.sh"]));
  assert.equal(server.seen.filter((line) => line.startsWith("GET")).length, 1);
});

test("commits of one remote that are wanted at once do not get in each other's way", async () => {
  const { open } = newStore();
  const trees = await Promise.all(commits.map(async (commit) => (await open(source(`app.git#${commit}`))).tree()));
  assert.deepEqual(
    trees.map((tree) => textIn(tree, "a.txt")),
    ["one", "two"],
  );
});

test("a remote that says nothing is given up, and an abort ends git", async () => {
  const silent = createServer(() => {});
  await new Promise<void>((done) => silent.listen(0, "127.0.0.1", done));
  const { port } = silent.address() as AddressInfo;
  try {
    const remote = source(`git://127.0.0.1:${port}/x`);
    await assert.rejects(newStore({ stallMs: 300 }).open(remote), (error) => {
      assert.equal(codeOf(error), "deadline-exceeded");
      return true;
    });
    const abort = new AbortController();
    const opening = newStore().open(remote, {}, abort.signal);
    silent.once("connection", () => abort.abort(new Error("enough")));
    await assert.rejects(opening, /enough/);
  } finally {
    silent.close();
  }
});

for (const remote of ["file:///etc", "ext::sh -c true", "/srv/repo.git", "http+unix://x/y.git"])
  test(`${remote} is no remote`, async () => {
    const { open } = newStore();
    const asked = { remote, ref: "", subdirectory: "", keepGitDirectory: false, checksum: "", submodules: true };
    await assert.rejects(open(asked), (error) => {
      assert.equal(codeOf(error), "invalid-argument");
      return true;
    });
  });

test("over ssh the client's agent is used, and no configuration but ours", async () => {
  const programs = join(directory, "programs");
  mkdirSync(programs);
  const log = join(directory, "ssh.log");
  // Stands in for ssh: says what it was called with, and executes the remote command here.
  const script = `#!/bin/sh\necho "$SSH_AUTH_SOCK $*" >> ${log}\nfor last; do :; done\ncd ${directory}/remotes && eval "$last"\n`;
  writeFileSync(join(programs, "ssh"), script, { mode: 0o755 });
  const path = process.env.PATH;
  process.env.PATH = `${programs}:${path}`;
  try {
    const { git } = newStore();
    const secrets: Secrets = {
      secret: async () => undefined,
      sshAgent: async (id) => ({ socketPath: `/agents/${id}`, [Symbol.asyncDispose]: async () => {} }),
    };
    const asked = source("git@host.example:app/.git#feature");
    const checkout = await git.open(asked, { secrets, proxies: {}, signal: timeout() });
    assert.deepEqual(namesIn(await checkout.tree()), ["a.txt", "dir", "dir/b.sh"]);
    const said = readFileSync(log, "utf8");
    assert.match(said, /^\/agents\/default -F \/dev\/null -o BatchMode=yes -o StrictHostKeyChecking=accept-new/);
    assert.match(said, / git@host.example git-upload-pack 'app\/.git'\n/);
  } finally {
    process.env.PATH = path;
  }
});

test("without git on the machine the error names the package", async () => {
  const path = process.env.PATH;
  process.env.PATH = "/nonexistent";
  try {
    await assert.rejects(newStore().open(source("app.git")), /install the package git/);
  } finally {
    process.env.PATH = path;
  }
});
