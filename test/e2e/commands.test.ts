/** Commands and flags of the real docker client that no other end-to-end test has: each does what it does on Docker. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { after, afterEach, before, test } from "node:test";
import { type Ran, run, TestEngine, until } from "../engine.ts";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});
afterEach(async () => {
  const ids = (await engine.ok("ps", "-aq")).split("\n").filter(Boolean);
  if (ids.length > 0) await engine.ok("rm", "-f", "-v", ...ids);
});

const sh = (script: string): string[] => ["busybox", "sh", "-c", script];
const background = (name: string, ...flags: string[]): Promise<string> =>
  engine.ok("run", "-d", "--name", name, ...flags, "busybox", "sleep", "1000");

/** Below a pseudo-terminal, with what is typed one after the other. */
function onTerminal(typed: string, ...args: string[]): string {
  const quoted = args.map((arg) => `'${arg}'`).join(" ");
  const script = `(${typed}) | script -qec "stty rows 33 cols 99 -echo; docker ${quoted}" /dev/null`;
  const ran = spawnSync("sh", ["-c", script], {
    env: { ...process.env, DOCKER_HOST: `unix://${engine.socket}` },
    timeout: 30_000,
  });
  return ran.stdout.toString().replaceAll("\r", "").replaceAll("\0", "").trim();
}

/** Flags of run, what runs, and what it prints. */
const seenInside: readonly (readonly [readonly string[], string, string])[] = [
  [["--entrypoint", "echo"], "", "hi"],
  [["--group-add", "777"], "id -G", "0 777"],
  [["--cap-drop", "ALL", "--cap-add", "CHOWN"], "grep CapEff /proc/self/status", "CapEff:\t0000000000000001"],
  [["--security-opt", "no-new-privileges"], "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t1"],
  [["--security-opt", "seccomp=unconfined"], "grep Seccomp: /proc/self/status", "Seccomp:\t0"],
  [
    ["--sysctl", "net.ipv4.ip_forward=0", "--sysctl", "kernel.msgmax=8000"],
    "sysctl -n net.ipv4.ip_forward kernel.msgmax",
    "0\n8000",
  ],
  [["--domainname", "dom.org", "-h", "foo.bar"], "hostname; grep -c 'foo.bar.dom.org foo$' /etc/hosts", "foo.bar\n1"],
  [["--uts", "host"], "hostname | wc -l", "1"],
  [["--oom-score-adj", "300"], "cat /proc/self/oom_score_adj", "300"],
  [["--device", "/dev/zero:/dev/nought:r"], "head -c 2 /dev/nought | wc -c; echo x 2>&1 >/dev/nought", "2"],
  [["--group-add", "daemon", "-u", "5:6"], "id -g; id -G", "6\n6 1"],
  [["--tmpfs", "/t:size=64k,mode=711,uid=5"], "stat -c '%a %u' /t", "711 5"],
  [
    ["--mount", "type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=700"],
    "stat -c %a /t; df -k /t | tail -1 | awk '{print $2}'",
    "700\n1024",
  ],
  [["--cgroupns", "private"], "sed -n 's/^0:://p;1s/.*:://p' /proc/self/cgroup | head -1", "/"],
  [["--annotation", "a=b", "--platform", "linux/amd64", "--isolation", "default"], "echo ok", "ok"],
];
for (const [flags, script, expected] of seenInside)
  test(`run ${flags.join(" ")} is seen inside`, async () => {
    const command = flags[0] === "--entrypoint" ? ["busybox", "hi"] : sh(script);
    const ran = await engine.docker("run", "--rm", ...flags, ...command);
    assert.equal(ran.stdout.trim(), expected, ran.stderr);
  });

const refused: readonly (readonly [readonly string[], number, RegExp])[] = [
  [["--tmpfs", "/x:foo=bar"], 125, /invalid tmpfs option \["foo" "bar"\]/],
  [["--tmpfs", "x"], 125, /invalid mount path: 'x' mount path must be absolute/],
  [["--storage-opt", "size=1G"], 125, /--storage-opt is supported only for overlay over xfs/],
  [["--device", "/tmp"], 125, /adding custom device "\/tmp": not a device node/],
  [["--link", "nosuch"], 125, /could not get container for nosuch: No such container: nosuch/],
  [["-w", "/etc/passwd"], 125, /not a directory/],
  [["--network", "host", "--sysctl", "net.ipv4.ip_forward=1"], 125, /not allowed in host network namespace/],
  [["--ipc", "host", "--sysctl", "kernel.msgmax=8000"], 125, /not allowed in the hosts ipc namespace/],
  [["--log-opt", "tag={{.Nope}}"], 125, /log opt 'tag'/],
];
for (const [flags, code, words] of refused)
  test(`run ${flags.join(" ")} is refused and leaves nothing`, async () => {
    const ran = await engine.docker("run", "--rm", ...flags, "busybox", "true");
    assert.equal(ran.code, code, ran.stderr);
    assert.match(ran.stderr, words);
    assert.equal(await engine.ok("ps", "-aq"), "");
  });

test("env files, label files and id files are read and written", async () => {
  const file = (name: string, text: string): string => {
    writeFileSync(engine.path(name), text);
    return engine.path(name);
  };
  const env = file("env", "A=1\n#comment\nB=two words\n");
  const labels = file("labels", "l1=v1\nl2\n");
  const idFile = engine.path("cid");
  const flags = ["--env-file", env, "--label-file", labels, "--label", "x=y", "--cidfile", idFile];
  assert.equal(await engine.ok("run", "--name", "ff", ...flags, ...sh('echo "$A $B"')), "1 two words");
  assert.equal(readFileSync(idFile, "utf8"), await engine.inspect("ff", "{{.Id}}"));
  assert.equal(await engine.inspect("ff", "{{json .Config.Labels}}"), '{"l1":"v1","x":"y"}');
  assert.equal((await engine.docker("run", "--cidfile", idFile, "busybox", "true")).code, 125);
});

test("--volumes-from takes the other's volumes over, :ro read-only", async () => {
  await engine.ok(
    "run",
    "--name",
    "v1",
    "-v",
    "named:/d",
    "-v",
    "/anonymous",
    ...sh("echo x >/d/f; echo y >/anonymous/g"),
  );
  assert.equal(await engine.ok("run", "--rm", "--volumes-from", "v1", ...sh("cat /d/f /anonymous/g")), "x\ny");
  assert.match(
    (await engine.docker("run", "--rm", "--volumes-from", "v1:ro", ...sh("touch /d/z"))).stderr,
    /Read-only/,
  );
  await engine.ok("rm", "-v", "v1");
  assert.equal(await engine.ok("volume", "ls", "-q"), "named");
  await engine.ok("volume", "rm", "named");
});

test("a container of --rm is told when its anonymous volumes are gone", async () => {
  await engine.ok("run", "--rm", "-v", "/anonymous", ...sh("touch /anonymous/f"));
  assert.equal(await engine.ok("volume", "ls", "-q"), "");
});

test("-a chooses streams", async () => {
  const script = sh("echo out; echo err >&2");
  const only = (stream: string): Promise<Ran> => engine.docker("run", "--rm", "-a", stream, ...script);
  assert.deepEqual(await only("stdout"), { stdout: "out\n", stderr: "", code: 0 });
  assert.deepEqual(await only("stderr"), { stdout: "", stderr: "err\n", code: 0 });
});

test("--stop-signal and --stop-timeout decide how stop ends it", async () => {
  const trap = 'trap "echo usr1; exit 9" USR1; echo ready; while :; do sleep 0.1; done';
  await engine.ok("run", "-d", "--name", "ss", "--stop-signal", "USR1", ...sh(trap));
  await until("it is ready", async () => (await engine.ok("logs", "ss")) === "ready");
  await engine.ok("stop", "ss");
  assert.equal(await engine.inspect("ss", "{{.State.ExitCode}}"), "9");
  assert.equal(await engine.ok("logs", "ss"), "ready\nusr1");
  await background("tt", "--stop-timeout", "1");
  await engine.ok("stop", "tt");
  assert.equal(await engine.inspect("tt", "{{.State.ExitCode}}"), "137");
});

test("a paused container is stopped, killed, restarted and removed", async () => {
  for (const [command, left] of [
    [["stop", "-t", "1"], "exited"],
    [["kill"], "exited"],
    [["restart", "-t", "0"], "running"],
  ] as const) {
    await background("pp");
    await engine.ok("pause", "pp");
    await engine.ok(...command, "pp");
    assert.equal(await engine.inspect("pp", "{{.State.Status}}"), left);
    await engine.ok("rm", "-f", "pp");
  }
  await background("pp");
  await engine.ok("pause", "pp");
  await engine.ok("rm", "-f", "pp");
  assert.equal(await engine.ok("ps", "-aq"), "");
});

test("many execs one after the other each end with their output and code", async () => {
  await background("ee");
  for (let i = 0; i < 40; i++) {
    const ran = await engine.dockerWith({ timeoutMs: 10_000 }, "exec", "ee", "sh", "-c", `echo ${i}; exit 9`);
    assert.deepEqual(ran, { stdout: `${i}\n`, stderr: "", code: 9 });
  }
  assert.equal(await engine.inspect("ee", "{{.ExecIDs}}"), "[]");
});

test("logs --details shows what log options choose", async () => {
  const options = ["--log-opt", "labels=com.x", "--log-opt", "env=VAR", "--log-opt", "tag={{.Name}}"];
  const flags = ["--label", "com.x=1", "--label", "other=2", "-e", "VAR=a b"];
  await engine.ok("run", "--name", "ll", ...options, ...flags, "busybox", "echo", "hi");
  assert.equal(await engine.ok("logs", "--details", "ll"), "VAR=a+b,com.x=1,tag=ll hi");
  assert.equal(await engine.ok("logs", "ll"), "hi");
});

test("a terminal has the client's size, and the detach keys leave it running", async () => {
  assert.equal(onTerminal("sleep 1", "run", "-it", "--rm", "busybox", "stty", "size"), "33 99");
  await engine.ok("run", "-dit", "--name", "tt", "busybox", "sh");
  assert.match(
    onTerminal("sleep 1; printf 'x'; sleep 1", "attach", "--detach-keys", "x", "tt"),
    /read escape sequence/,
  );
  assert.match(onTerminal("sleep 1; printf '\\020\\021'; sleep 1", "attach", "tt"), /read escape sequence/);
  assert.equal(await engine.inspect("tt", "{{.State.Running}}"), "true");
});

/** A request over the API's socket, and what is typed once it is answered; gives the answer's head and all that came after. */
function exchange(head: readonly string[], body: string, typed: string | Buffer = ""): Promise<[string, Buffer]> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path: engine.socket, allowHalfOpen: true });
    const parts: Buffer[] = [];
    socket.on("error", reject);
    socket.on("data", (bytes: Buffer) => {
      if (parts.length === 0) socket.write(typed);
      parts.push(bytes);
    });
    socket.on("end", () => {
      socket.end();
      const all = Buffer.concat(parts);
      const end = all.indexOf("\r\n\r\n") + 4;
      resolve([all.subarray(0, end).toString(), all.subarray(end)]);
    });
    socket.write(`${[...head, "Host: x"].join("\r\n")}\r\n\r\n${body}`);
  });
}

test("attach and exec start without an upgrade answer with raw bytes", async () => {
  await engine.ok("run", "-di", "--name", "rr", ...sh("read x; echo got $x"));
  const query = "stream=1&stdin=1&stdout=1";
  const [head, bytes] = await exchange([`POST /v1.41/containers/rr/attach?${query} HTTP/1.1`], "", "word\n");
  assert.match(head, /^HTTP\/1\.1 200 OK\r\nContent-Type: application\/vnd\.docker\.raw-stream\r\n\r\n$/);
  assert.equal(bytes.toString("latin1"), "\x01\0\0\0\0\0\0\x09got word\n");
  await background("ee");
  const json = (text: string): string[] => ["Content-Type: application/json", `Content-Length: ${text.length}`];
  const body = JSON.stringify({ Cmd: ["echo", "hi"], AttachStdout: true });
  const url = "http://x/v1.41/containers/ee/exec";
  const made = await run(["curl", "-s", "--unix-socket", engine.socket, "-H", json(body)[0]!, "-d", body, url], {});
  const { Id } = JSON.parse(made.stdout) as { Id: string };
  const [, output] = await exchange([`POST /v1.41/exec/${Id}/start HTTP/1.1`, ...json("{}")], "{}");
  assert.equal(output.subarray(8).toString(), "hi\n");
});

test("a WebSocket attaches: what is typed reaches the process, its output comes in messages, its end closes", async () => {
  await engine.ok("run", "-di", "--name", "ws", ...sh("read x; echo got $x"));
  const masked = Buffer.concat([Buffer.from([0x81, 0x80 | 5, 0, 0, 0, 0]), Buffer.from("word\n")]);
  const [head, frames] = await exchange(
    [
      "GET /v1.41/containers/ws/attach/ws?stream=1&stdin=1&stdout=1 HTTP/1.1",
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ],
    "",
    masked,
  );
  assert.match(head, /^HTTP\/1\.1 101 [\s\S]*Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/);
  assert.equal(frames.toString("latin1"), "\x82\x09got word\n\x88\x02\x03\xe8");
});

test("rename, port, top, wait and update", async () => {
  await background("aa", "-p", "127.0.0.1:8093:80", "-p", "127.0.0.1:8094:81/udp");
  assert.equal(await engine.ok("port", "aa"), "80/tcp -> 127.0.0.1:8093\n81/udp -> 127.0.0.1:8094");
  assert.equal(await engine.ok("port", "aa", "81/udp"), "127.0.0.1:8094");
  await engine.ok("rename", "aa", "bb");
  assert.equal(await engine.ok("ps", "--format", "{{.Names}}"), "bb");
  assert.match((await engine.docker("rename", "bb", "bb")).stderr, /same name as its current name/);
  assert.match(await engine.ok("top", "bb", "-o", "pid,comm"), /^PID +COMMAND\n\d+ +sleep$/);
  assert.match(
    (await engine.docker("top", "bb", "no-such-column")).stderr,
    /^Error response from daemon: ps: error: .+\n$/,
  );
  await engine.ok("update", "--restart", "on-failure:2", "--pids-limit", "50", "bb");
  assert.equal(
    await engine.inspect("bb", "{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.PidsLimit}}"),
    "on-failure 50",
  );
  const waiting = engine.ok("wait", "bb");
  await engine.ok("kill", "bb");
  assert.equal(await waiting, "137");
  assert.match(
    (await engine.docker("kill", "bb")).stderr,
    /cannot kill container: bb: container \w{64} is not running/,
  );
  assert.match(
    (await engine.docker("kill", "-s", "NOPE", "bb")).stderr,
    /cannot kill container: bb: invalid signal: NOPE/,
  );
});

test("cp follows docker's rules for names in both directions", async () => {
  await background("cc");
  const here = engine.path("cp");
  mkdirSync(`${here}/s`, { recursive: true });
  writeFileSync(`${here}/s/f`, "text");
  const local = (script: string): string => spawnSync("sh", ["-c", script], { cwd: here }).stdout.toString().trim();
  await engine.ok("cp", `${here}/s`, "cc:/new");
  await engine.ok("cp", `${here}/s`, "cc:/new");
  await engine.ok("cp", `${here}/s/.`, "cc:/contents");
  assert.equal(
    await engine.ok("exec", "cc", "sh", "-c", "find /new /contents -type f | sort"),
    "/contents/f\n/new/f\n/new/s/f",
  );
  await engine.ok("cp", "cc:/new/.", `${here}/back`);
  await engine.ok("cp", "cc:/new", `${here}/whole`);
  assert.equal(local("find back whole -type f | sort"), "back/f\nback/s/f\nwhole/f\nwhole/s/f");
  await engine.ok("cp", "cc:/", `${here}/root`);
  assert.equal(local("ls -d root* && ls root | head -2 && cat root/new/f"), "root\nbin\ncontents\ntext");
  assert.equal((await engine.docker("cp", "cc:/new/f", "-")).stdout.slice(0, 1), "f");
  assert.match((await engine.docker("cp", "cc:/none", here)).stderr, /Could not find the file \/none in container cc/);
});

test("diff, commit, export, import, history, tag and rmi", async () => {
  await engine.ok("run", "--name", "dd", "-e", "A=1", ...sh("mkdir /n; echo hi >/n/f; echo >>/etc/passwd"));
  assert.equal(await engine.ok("diff", "dd"), "C /etc\nC /etc/passwd\nA /n\nA /n/f");
  const changes = ["-c", 'CMD ["cat","/n/f"]', "-c", "ENV B=2", "-c", "LABEL q=r", "-m", "message", "-a", "author"];
  await engine.ok("commit", ...changes, "dd", "made:1");
  assert.equal(await engine.ok("run", "--rm", "made:1"), "hi");
  const format = "{{.Comment}} {{.Author}} {{json .Config.Env}} {{json .Config.Labels}}";
  const env = '["A=1","PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","B=2"]';
  assert.equal(await engine.inspect("made:1", format), `message author ${env} {"q":"r"}`);
  assert.match(await engine.ok("history", "--format", "{{.Comment}}", "made:1"), /^message\n/);
  await engine.ok("export", "-o", engine.path("dd.tar"), "dd");
  await engine.ok("import", "-c", 'CMD ["cat","/n/f"]', engine.path("dd.tar"), "flat:1");
  assert.equal(await engine.ok("run", "--rm", "flat:1"), "hi");
  await engine.ok("tag", "made:1", "again/made:2");
  assert.equal(await engine.ok("rmi", "again/made:2"), "Untagged: again/made:2");
  assert.match((await engine.docker("rmi", "made:1", "flat:1")).stdout, /Untagged: made:1\nDeleted: sha256:/);
});

test("the prune commands remove what nothing uses, and filters spare", async () => {
  await engine.ok("create", "--name", "keep", "--label", "keep", "busybox");
  await engine.ok("create", "--name", "gone", "busybox");
  await engine.ok("container", "prune", "-f", "--filter", "label!=keep");
  assert.equal(await engine.ok("ps", "-a", "--format", "{{.Names}}"), "keep");
  await engine.ok("volume", "create", "vv");
  await engine.ok("network", "create", "nn");
  assert.match(await engine.ok("network", "prune", "-f"), /^Deleted Networks:\nnn/);
  assert.doesNotMatch(await engine.ok("volume", "prune", "-f"), /vv/);
  assert.match(await engine.ok("volume", "prune", "-af"), /^Deleted Volumes:\nvv/);
  await engine.ok("commit", "keep", "pruned:1");
  await engine.ok("commit", "-m", "again", "keep", "pruned:1");
  assert.match(await engine.ok("image", "prune", "-f"), /deleted: sha256:/);
  await engine.ok("rmi", "pruned:1");
  assert.match(await engine.ok("system", "prune", "-f"), /Deleted Containers:/);
});

test("system df and stats show what there is", async () => {
  await background("ss", "-m", "64m", "-v", "dfvolume:/d");
  await engine.ok("exec", "ss", "sh", "-c", "head -c 1000000 /dev/zero >/d/f");
  assert.match(await engine.ok("system", "df"), /^Local Volumes +1 +1 +1(\.0\d+)?MB +0B/m);
  assert.match(await engine.ok("system", "df", "-v"), /dfvolume +1 +1(\.0\d+)?MB/);
  assert.match(
    await engine.ok("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}} {{.PIDs}}", "ss"),
    /^ss .*iB \/ 64MiB 1$/,
  );
  await engine.ok("rm", "-f", "ss");
  await engine.ok("volume", "rm", "dfvolume");
});
