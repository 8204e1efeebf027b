import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { run, TestEngine } from "../engine.ts";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

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
    const ran = await engine.docker(...args);
    assert.equal(ran.code, code, ran.stderr);
    assert.match(ran.stderr, words);
    const made = (await engine.ok("ps", "-aq")).split("\n").filter((id) => id !== "" && !before.includes(id));
    // What was created but could not be started stays, as with Docker.
    for (const id of made) assert.equal(await engine.inspect(id, "{{.State.Running}}"), "false");
    if (made.length > 0) await engine.ok("rm", ...made);
  });
}

test("a taken name is a conflict that names its owner", async () => {
  const id = await engine.ok("create", "--name", "taken", "busybox");
  const ran = await engine.docker("create", "--name", "taken", "busybox");
  assert.match(ran.stderr, new RegExp(`The container name "/taken" is already in use by container "?${id}`));
  await engine.ok("rm", "taken");
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
