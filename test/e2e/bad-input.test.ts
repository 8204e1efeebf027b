import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, rmdirSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { processesOf, run, TestEngine, until } from "../engine.ts";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
  mkdirSync(engine.path("empty"));
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

const entries = (path: string): string[] => (existsSync(path) ? readdirSync(path).sort() : []);

/** Everything that a refused request could have left. */
async function traces(): Promise<string> {
  const data = ["containers", "volumes", "overlay2", "overlay2/l", "tmp"].map((name) => join(engine.dataRoot, name));
  const state = ["netns", "p", "s", "network/containers", "containerd/io.containerd.runtime.v2.task/moby"].map((name) =>
    join(engine.execRoot, name),
  );
  const lists = [...data, ...state].map(
    (path) => `${path}: ${entries(path).filter((name) => !name.startsWith("pool"))}`,
  );
  const networks = await engine.ok("network", "ls", "-q");
  return [...lists, networks, String(processesOf(engine.execRoot).length)].join("\n");
}

/** Once nothing is on its way out any more: an ended container's last things go after the answer. */
async function settled(): Promise<string> {
  let last = "";
  await until("nothing changes", async () => {
    const before = last;
    last = await traces();
    return last === before;
  });
  return last;
}

async function assertNoTrace(was: string): Promise<void> {
  let is = "";
  await until("as before", async () => {
    is = await traces();
    return is === was;
  }).catch(() => undefined);
  assert.equal(is, was);
}

/** Arguments of docker, exit code, what stderr must say. */
const cases: readonly (readonly [string, readonly string[], number, RegExp])[] = [
  ["an absent image", ["run", "no-such-image"], 125, /Unable to find image 'no-such-image:latest' locally/],
  ["a malformed reference", ["run", "UPPER/case:x:y"], 125, /invalid reference format/],
  ["a bad port", ["run", "-p", "80:x", "busybox"], 125, /invalid containerPort: x/],
  ["a port out of range", ["run", "-p", "99999:80", "busybox"], 125, /invalid hostPort: 99999/],
  ["an unknown network", ["run", "--network", "nowhere", "busybox"], 125, /network nowhere not found/],
  ["an unknown user", ["run", "--rm", "-u", "nosuchuser", "busybox", "true"], 125, /unable to find user nosuchuser/],
  ["too little memory", ["run", "-m", "4k", "busybox"], 125, /Minimum memory limit allowed is 6MB/],
  [
    "an unknown capability",
    ["run", "--cap-add", "NOPE", "busybox"],
    125,
    /invalid CapAdd: unknown capability: "CAP_NOPE"/,
  ],
  ["an unknown log driver", ["run", "--log-driver", "nope", "busybox"], 125, /nope/],
  ["a relative target", ["run", "-v", "/tmp:relative", "busybox"], 125, /mount path must be absolute/],
  ["an unknown flag", ["run", "--nope", "busybox"], 125, /unknown flag: --nope/],
  [
    "an absent executable",
    ["run", "busybox", "/absent"],
    127,
    /exec: "\/absent": stat \/absent: no such file or directory/,
  ],
  ["an absent command", ["run", "busybox", "absent"], 127, /exec: "absent": executable file not found in \$PATH/],
  ["a file that is no program", ["run", "busybox", "/etc/passwd"], 126, /exec: "\/etc\/passwd": permission denied/],
  ["a directory as program", ["run", "busybox", "/etc"], 126, /exec: "\/etc": is a directory/],
  [
    "a missing bind source with --mount",
    ["run", "--mount", "type=bind,source=/absent/source,target=/x", "busybox"],
    125,
    /bind source path does not exist: \/absent\/source/,
  ],
  [
    "a relative tmpfs",
    ["run", "--tmpfs", "rel", "busybox"],
    125,
    /invalid mount path: 'rel' mount path must be absolute/,
  ],
  [
    "a size of the root",
    ["run", "--storage-opt", "size=1G", "busybox"],
    125,
    /--storage-opt is supported only for overlay over xfs/,
  ],
  [
    "an unknown link",
    ["run", "--link", "nobody", "busybox"],
    125,
    /could not get container for nobody: No such container: nobody/,
  ],
  [
    "an unknown volume driver",
    ["run", "--pull", "never", "--volume-driver", "nope", "-v", "/y", "busybox"],
    125,
    /plugin "nope" not found/,
  ],
  [
    "an absent device",
    ["run", "--device", "/dev/absent", "busybox"],
    127,
    /adding custom device "\/dev\/absent": no such file/,
  ],
  ["an unknown group", ["run", "-u", "0:nosuchgroup", "busybox", "true"], 125, /unable to find group nosuchgroup/],
  [
    "a user id that is too great",
    ["run", "-u", "99999999999", "busybox", "true"],
    125,
    /uids and gids must be in range/,
  ],
  ["too many processors", ["run", "--cpus", "10000", "busybox"], 125, /range of CPUs is from 0\.01 to/i],
  ["a missing processor", ["run", "--cpuset-cpus", "9999", "busybox"], 125, /Requested CPUs are not available/],
  ["a host name that is too long", ["run", "--hostname", "a".repeat(100), "busybox", "true"], 125, /sethostname/],
  ["an upper-case image name", ["tag", "busybox", "UPPER"], 1, /repository name \(library\/UPPER\) must be lowercase/],
  ["an unknown runtime", ["run", "--runtime", "nope", "busybox"], 125, /unknown or invalid runtime name: nope/],
  [
    "a network in another's subnet form",
    ["network", "create", "--subnet", "nope", "n"],
    1,
    /invalid CIDR address: nope/,
  ],
  [
    "the removal of a predefined network",
    ["network", "rm", "bridge"],
    1,
    /bridge is a pre-defined network and cannot be removed/,
  ],
  ["a volume named by a path", ["volume", "create", "a/b"], 1, /includes invalid characters for a local volume name/],
  ["an unknown container", ["inspect", "--type", "container", "nobody"], 1, /No such container: nobody/],
  ["rm of an unknown container", ["rm", "nobody"], 1, /No such container: nobody/],
  ["exec in an unknown container", ["exec", "nobody", "true"], 1, /No such container: nobody/],
  ["rmi of an unknown image", ["rmi", "nothing"], 1, /No such image: nothing/],
  [
    "a static address on the default bridge",
    ["run", "--ip", "172.17.0.9", "busybox"],
    125,
    /user specified IP address is supported (only when connecting to networks with user configured subnets|on user defined networks only)/,
  ],
  ["an unknown signal", ["kill", "-s", "NOPE", "nobody"], 1, /No such container|[Ii]nvalid signal/],
  [
    "--rm with --restart",
    ["run", "--rm", "--restart", "always", "busybox"],
    125,
    /conflicting options: cannot specify both --restart and --rm/,
  ],
];

for (const [what, args, code, words] of cases) {
  test(`${what} is refused in Docker's words and changes nothing`, async () => {
    const before = await engine.ok("ps", "-aq");
    const was = await settled();
    const ran = await engine.docker(...args);
    assert.equal(ran.code, code, ran.stderr);
    assert.match(ran.stderr, words);
    const made = (await engine.ok("ps", "-aq")).split("\n").filter((id) => id !== "" && !before.includes(id));
    // What was created but could not be started stays, as with Docker.
    for (const id of made) assert.equal(await engine.inspect(id, "{{.State.Running}}"), "false");
    if (made.length > 0) await engine.ok("rm", "-v", ...made);
    await assertNoTrace(was);
  });
}

test("a taken name is a conflict that names its owner", async () => {
  const id = await engine.ok("create", "--name", "taken", "busybox");
  const ran = await engine.docker("create", "--name", "taken", "busybox");
  assert.match(ran.stderr, new RegExp(`The container name "/taken" is already in use by container "?${id}`));
  await engine.ok("rm", "taken");
});

test("a port that another container or another program has is refused, and is free for others afterwards", async () => {
  // The process that holds ports comes with the first.
  await engine.ok("rm", "-f", await engine.ok("run", "-d", "-p", "127.0.0.1::80", "busybox", "sleep", "9"));
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  const { port } = other.address() as { port: number };
  const was = await settled();
  const taken = await engine.docker("run", "--name", "taken", "-p", `127.0.0.1:${port}:80`, "busybox", "true");
  assert.equal(taken.code, 125);
  assert.match(taken.stderr, new RegExp(`127\\.0\\.0\\.1:${port}.*address already in use`));
  assert.equal(await engine.inspect("taken", "{{.State.Status}}"), "created");
  await new Promise((resolve) => other.close(resolve));
  await engine.ok("start", "taken");
  await engine.ok("wait", "taken");
  const holder = await engine.ok("run", "-d", "-p", `127.0.0.1:${port}:80`, "busybox", "sleep", "1000");
  const second = await engine.docker("start", "taken");
  assert.match(second.stderr, new RegExp(`Bind for 127\\.0\\.0\\.1:${port} failed: port is already allocated`));
  await engine.ok("rm", "-f", holder);
  await engine.ok("start", "taken");
  await engine.ok("rm", "-f", "taken");
  await assertNoTrace(was);
});

test("-v makes a missing source; one of --mount that went after create fails the start and is not made", async () => {
  const was = await settled();
  const [made, gone] = [engine.path("made"), engine.path("gone")];
  await engine.ok("run", "--rm", "-v", `${made}:/x`, "busybox", "true");
  assert.ok(existsSync(made));
  rmdirSync(made);
  mkdirSync(gone);
  await engine.ok("create", "--name", "gone", "--mount", `type=bind,source=${gone},target=/x`, "busybox");
  rmdirSync(gone);
  const ran = await engine.docker("start", "gone");
  assert.equal(ran.code, 1);
  assert.match(ran.stderr, /invalid mount config for type "bind": bind source path does not exist: /);
  assert.ok(!existsSync(gone));
  await engine.ok("rm", "gone");
  await assertNoTrace(was);
});

const execs: readonly (readonly [string, readonly string[], number, RegExp])[] = [
  ["an absent command", ["ID", "absent"], 127, /exec: "absent": executable file not found in \$PATH/],
  ["no program", ["ID", "/etc/passwd"], 126, /exec: "\/etc\/passwd": permission denied/],
  ["an unknown user", ["-u", "nosuch", "ID", "true"], 126, /unable to find user nosuch/],
  [
    "an absent directory",
    ["-w", "/absent", "ID", "true"],
    127,
    /chdir to cwd \("\/absent"\) set in config\.json failed: no such file or directory/,
  ],
  ["a code of its own", ["ID", "sh", "-c", "exit 7"], 7, /^$/],
];

test("what an exec can't run has Docker's words and codes, and leaves nothing", async () => {
  const id = await engine.ok("run", "-d", "busybox", "sleep", "1000");
  const was = await settled();
  for (const [what, args, code, words] of execs) {
    const ran = await engine.docker("exec", ...args.map((arg) => (arg === "ID" ? id : arg)));
    assert.equal(ran.code, code, what);
    assert.match(ran.stderr + ran.stdout, words, what);
  }
  await assertNoTrace(was);
  await engine.ok("rm", "-f", id);
});

test("a committed layer has what the container made, not what the engine made to mount on", async () => {
  const was = await settled();
  const volume = ["-v", "/data", "-v", `${engine.path("empty")}:/deep/er`, "--tmpfs", "/tmpfs"];
  await engine
    .ok("run", "-it", "--init", "--name", "made", ...volume, "busybox", "sh", "-c", "echo hi >/new")
    .catch(() => undefined);
  await engine.ok("rm", "-f", "made");
  await engine.ok("run", "--init", "--name", "made", ...volume, "busybox", "sh", "-c", "echo hi >/new");
  await engine.ok("commit", "made", "committed");
  await engine.ok("save", "-o", engine.path("committed.tar"), "committed");
  const script =
    "tar xf committed.tar -C x manifest.json && grep -o '[^\"]*layer.tar\\|blobs/sha256/[0-9a-f]*' x/manifest.json | tail -1";
  mkdirSync(engine.path("x"));
  const last = await run(["sh", "-c", `cd ${engine.path(".")} && ${script}`], {});
  const list = await run(
    ["sh", "-c", `cd ${engine.path(".")} && tar xOf committed.tar ${last.stdout.trim()} | tar t`],
    {},
  );
  assert.deepEqual(list.stdout.trim().split("\n").sort(), ["data/", "deep/", "deep/er/", "new", "tmpfs/"]);
  await engine.ok("rm", "-v", "made");
  await engine.ok("rmi", "committed");
  await assertNoTrace(was);
});

const requests: readonly (readonly [string, string, string, readonly string[], string, RegExp])[] = [
  ["an API version that is too new", "GET", "/v9.99/info", [], "400", /client version 9\.99 is too new/],
  ["an API version that is too old", "GET", "/v1.10/info", [], "400", /client version 1\.10 is too old/],
  ["an unknown path", "GET", "/nope", [], "404", /page not found/],
  ["malformed JSON", "POST", "/containers/create", ["-H", "Content-Type: application/json", "-d", "{"], "400", /./],
  [
    "a body of the wrong type",
    "POST",
    "/containers/create",
    ["-H", "Content-Type: application/json", "-d", '{"Image": 5}'],
    "400",
    /./,
  ],
  [
    "a body that is no JSON by its header",
    "POST",
    "/containers/create",
    ["-H", "Content-Type: text/plain", "-d", "{}"],
    "400",
    /Content-Type/,
  ],
  [
    "a negative memory",
    "POST",
    "/containers/create",
    ["-H", "Content-Type: application/json", "-d", '{"Image": "busybox", "HostConfig": {"Memory": -1}}'],
    "400",
    /Minimum memory limit allowed is 6MB/,
  ],
  ["no body at all", "POST", "/containers/create", [], "400", /EOF/],
  [
    "a signal that there is not, for a container that there is not",
    "POST",
    "/containers/nobody/kill?signal=NOPE",
    [],
    "400",
    /invalid signal: NOPE/,
  ],
  [
    "an unknown filter",
    "GET",
    "/containers/json?filters=%7B%22nope%22%3A%5B%22x%22%5D%7D",
    [],
    "400",
    /invalid filter/,
  ],
];

for (const [what, method, path, more, status, words] of requests) {
  test(`${what} is answered with ${status}`, async () => {
    const ran = await run(
      [
        "curl",
        "-s",
        "-w",
        "\n%{http_code}",
        "-X",
        method,
        "--unix-socket",
        engine.socket,
        ...more,
        `http://docker${path}`,
      ],
      {},
    );
    const lines = ran.stdout.trim().split("\n");
    assert.equal(lines.at(-1), status, ran.stdout);
    assert.match(lines.slice(0, -1).join("\n"), words);
  });
}

test("an oversized header is answered with 431", async () => {
  const answer = await new Promise<string>((resolve, reject) => {
    const socket = connect(engine.socket);
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk;
    });
    socket.on("close", () => resolve(text)).on("error", reject);
    socket.write(`GET /info HTTP/1.1\r\nHost: docker\r\nX-Big: ${"x".repeat(1_100_000)}\r\n\r\n`);
  });
  assert.match(answer, /^HTTP\/1\.1 431 /);
});
