import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { buildkitCases } from "./buildkit-golden.ts";
import { base2Config } from "./classic-golden.ts";
import { finishImage } from "./finish.ts";
import { baseImage, createdBy, limits, planText, resultsOf } from "./plan-harness.ts";
import type { Vertex } from "./vertex.ts";
import { inputsOf } from "./vertex-id.ts";

const example = `FROM base AS build
ARG A=1 B
ENV X=1 Y="a b"
ENV X=2 Z=$X
WORKDIR /app
COPY --chown=1:2 src/ lib* ./
RUN --mount=type=cache,target=/root/.cache make $X "$Z"
FROM busybox
LABEL one=1
EXPOSE 80 8000-8001/udp
COPY --from=build /app /app
COPY <<EOF /etc/conf
x=$HOME
EOF
CMD ["a"]
ENTRYPOINT b
HEALTHCHECK --interval=5s CMD echo ok
`;

describe("a plan in BuildKit's dialect", () => {
  test("the image's history is BuildKit's", async () => {
    const plan = await planText(example, { target: "build", buildArgs: { B: "bee" } });
    const { image } = plan.platforms[0]!;
    assert.deepEqual(createdBy(finishImage(image, resultsOf(image)).config).slice(1), [
      "ARG A=1 B=bee",
      "ENV X=1 Y=a b",
      "ENV X=2 Z=1",
      "WORKDIR /app",
      "COPY --chown=1:2 src/ lib* ./ # buildkit",
      'RUN |2 A=1 B=bee /bin/sh -c make $X "$Z" # buildkit',
    ]);
  });

  for (const { title, dockerfile, buildArgs, history, config } of buildkitCases) {
    test(`dockerd's own history and configuration: ${title}`, async () => {
      const base2 = baseImage("base2", { config: base2Config });
      const given = buildArgs as Record<string, string>;
      const { image } = (await planText(dockerfile, { buildArgs: given, known: { base2 } })).platforms[0]!;
      const document = finishImage(image, resultsOf(image)).config;
      const own = (document.history as { created_by: string; empty_layer?: boolean }[]).slice(-history.length);
      const shown = own.map(({ created_by, empty_layer = false }) => ({ created_by, empty: empty_layer }));
      assert.deepEqual(shown, history);
      assert.deepEqual(document.config, config);
    });
  }

  test("the configuration has only what is set, and commands only what the client's flags allow", async () => {
    const plan = await planText(example, { labels: { two: "2" } });
    const { image } = plan.platforms[0]!;
    const { config, stack } = finishImage(image, resultsOf(image));
    assert.deepEqual(config.config, {
      ExposedPorts: { "80/tcp": {}, "8000/udp": {}, "8001/udp": {} },
      Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
      Entrypoint: ["/bin/sh", "-c", "b"],
      Cmd: ["a"],
      Labels: { one: "1", two: "2" },
      ArgsEscaped: true,
      Healthcheck: { Test: ["CMD-SHELL", "echo ok"], Interval: 5_000_000_000 },
    });
    assert.deepEqual(createdBy(config).slice(1), [
      "LABEL one=1",
      "EXPOSE map[80/tcp:{} 8000/udp:{} 8001/udp:{}]",
      "COPY /app /app # buildkit",
      "COPY <<EOF /etc/conf # buildkit",
      'CMD ["a"]',
      'ENTRYPOINT ["/bin/sh" "-c" "b"]',
      `HEALTHCHECK &{["CMD-SHELL" "echo ok"] "5s" "0s" "0s" "0s" '\\x00'}`,
    ]);
    assert.equal((config.rootfs as { diff_ids: string[] }).diff_ids.length, stack.layers.length);
  });

  test("steps without a layer have the time of the first new one, then of the one before", async () => {
    const { image } = (await planText("FROM base\nENV a=b\nRUN x\nCMD y")).platforms[0]!;
    const { config } = finishImage(image, resultsOf(image));
    const times = (config.history as { created: string; empty_layer?: boolean }[]).map(({ created }) => created);
    assert.deepEqual(times.slice(1), ["2023-11-14T22:13:21Z", "2023-11-14T22:13:21Z", "2023-11-14T22:13:21Z"]);
    assert.equal(config.created, "2023-11-14T22:13:21Z");
    assert.equal(times[0], "2024-01-02T03:04:05.6Z");
  });

  test("SOURCE_DATE_EPOCH is the time of everything new", async () => {
    const { image } = (await planText("FROM base\nENV a=b\nRUN x", { buildArgs: { SOURCE_DATE_EPOCH: "60" } }))
      .platforms[0]!;
    const { config } = finishImage(image, resultsOf(image));
    const times = (config.history as { created: string }[]).map(({ created }) => created);
    assert.deepEqual(times, ["2024-01-02T03:04:05.6Z", "1970-01-01T00:01:00Z", "1970-01-01T00:01:00Z"]);
    assert.equal(config.created, "1970-01-01T00:01:00Z");
  });

  test("vertices are called as BuildKit calls them", async () => {
    const plan = await planText(example);
    const names = [...walk(plan.platforms[0]!.target)].map(({ name }) => name.replace(/@sha256:\w+/, "@D")).sort();
    assert.deepEqual(names, [
      "[build 1/4] FROM docker.io/library/base:latest@D",
      "[build 2/4] WORKDIR /app",
      "[build 3/4] COPY --chown=1:2 src/ lib* ./",
      '[build 4/4] RUN --mount=type=cache,target=/root/.cache make 2 "1"',
      "[internal] load build context",
      "[stage-1 1/3] FROM docker.io/library/busybox:latest@D",
      "[stage-1 2/3] COPY --from=build /app /app",
      "[stage-1 3/3] COPY <<EOF /etc/conf",
    ]);
  });

  test("stages that the target does not need are not looked up", async () => {
    const asked: string[] = [];
    await planText("FROM nowhere AS a\nRUN x\nFROM base AS b\nFROM busybox AS c\nCOPY --from=b / /", { asked });
    assert.deepEqual(asked.sort(), ["linux/amd64 base", "linux/amd64 busybox"]);
  });

  test("a context is asked for what is used of it", async () => {
    const text = "FROM base\nCOPY a b/*.c /x/\nADD --unpack=false /d/../e.tar /\nRUN --mount=source=m,target=/m true";
    const plan = await planText(text);
    assert.deepEqual(plan.usedContexts, [{ context: "context", paths: ["a", "b/*.c", "e.tar", "m"] }]);
    assert.deepEqual((await planText("FROM base\nCOPY . /\nCOPY a /")).usedContexts, [
      { context: "context", paths: [] },
    ]);
    assert.deepEqual((await planText("FROM base\nRUN x")).usedContexts, []);
  });

  test("a named context takes the place of an image or a stage", async () => {
    const asked: string[] = [];
    const namedContexts = { other: "docker-image://busybox", src: "local:src", dep: "https://example.com/x.git#main" };
    const text = "FROM other\nCOPY --from=src /a /\nCOPY --from=dep / /d";
    const plan = await planText(text, { namedContexts, asked });
    assert.deepEqual(asked, ["linux/amd64 busybox"]);
    assert.deepEqual(plan.usedContexts, [{ context: "src", paths: ["a"] }]);
    const git = [...walk(plan.platforms[0]!.target)].find(({ kind }) => kind === "git");
    assert.equal(git?.kind === "git" && `${git.remote} ${git.ref}`, "https://example.com/x.git main");
    const whole = await planText("FROM src\nCOPY --from=src /a /b", { namedContexts });
    assert.deepEqual(whole.usedContexts, [{ context: "src", paths: [] }]);
    const stage = await planText("FROM nowhere AS b\nRUN x\nFROM base\nCOPY --from=b /x /", {
      namedContexts: { b: "docker-image://busybox" },
    });
    assert.ok(![...walk(stage.platforms[0]!.target)].some(({ kind }) => kind === "run"));
  });

  test("what a command gets: the image's variables and the arguments, proxies aside", async () => {
    const buildArgs = { HTTP_PROXY: "http://p", A: "given", NOT_DECLARED: "x" };
    const options = {
      buildArgs,
      network: "host",
      limits: { ...limits, memoryBytes: 5 },
      extraHosts: ["a:1.2.3.4"],
    } as const;
    const plan = await planText("FROM base\nENV E=1\nARG A TARGETARCH\nUSER u\nRUN --network=none x", options);
    const run = plan.platforms[0]!.target;
    assert.ok(run.kind === "run");
    assert.deepEqual(run.env.slice(1), ["E=1", "A=given", "TARGETARCH=amd64"]);
    assert.deepEqual(run.uncachedEnv, ["HTTP_PROXY=http://p", "http_proxy=http://p"]);
    assert.deepEqual([run.user, run.network, run.limits.memoryBytes, run.extraHosts[0]], ["u", "none", 5, "a:1.2.3.4"]);
    assert.deepEqual(plan.unusedBuildArgs, ["NOT_DECLARED"]);
  });

  test("several platforms share what is the same for all", async () => {
    const text =
      "FROM --platform=$BUILDPLATFORM base AS b\nRUN make $TARGETARCH\nFROM busybox\nARG TARGETARCH\nCOPY --from=b /x /";
    const plan = await planText(text, { platforms: ["linux/amd64", "linux/arm64"] });
    const [amd, arm] = plan.platforms;
    const run = (vertex: Vertex) => [...walk(vertex)].find(({ kind }) => kind === "run");
    assert.equal(run(amd!.target)?.platform, "linux/amd64");
    assert.equal(run(arm!.target)?.platform, "linux/amd64");
    assert.equal(arm!.target.platform, "linux/arm64");
    assert.match(arm!.target.name, /^\[linux\/arm64 stage-1 2\/2\] COPY/);
    const { config } = finishImage(arm!.image, resultsOf(arm!.image));
    assert.equal(config.architecture, "arm64");
    assert.deepEqual(
      plan.warnings.map(({ rule }) => rule),
      ["InvalidBaseImagePlatform"],
    );
  });

  test("triggers of the base image come first, and may need further stages", async () => {
    const parent = baseImage("parent", { config: { OnBuild: ["COPY --from=tools /t /t", "RUN triggered"] } });
    const text = "FROM busybox AS tools\nRUN tools\nFROM parent\nRUN own";
    const plan = await planText(text, { known: { parent } });
    const { image } = plan.platforms[0]!;
    const { config } = finishImage(image, resultsOf(image));
    assert.deepEqual(createdBy(config).slice(1), [
      "COPY /t /t # buildkit",
      "RUN /bin/sh -c triggered # buildkit",
      "RUN /bin/sh -c own # buildkit",
    ]);
    assert.equal((config.config as { OnBuild?: unknown }).OnBuild, undefined);
  });

  test("here-documents become a shell's script, or a file that is run", async () => {
    const run = async (text: string) => {
      const { target } = (await planText(text)).platforms[0]!;
      assert.ok(target.kind === "run");
      return { argv: target.argv, pipes: target.pipes };
    };
    assert.deepEqual(await run("FROM base\nRUN <<EOF\na $X\nb\nEOF\n"), {
      argv: ["/bin/sh", "-c", "a $X\nb\n"],
      pipes: [],
    });
    assert.deepEqual(await run("FROM base\nRUN <<EOF\n#!/bin/cat\nb\nEOF\n"), {
      argv: ["/dev/pipes/EOF"],
      pipes: [{ name: "EOF", data: "#!/bin/cat\nb\n" }],
    });
    assert.deepEqual((await run("FROM base\nRUN cat <<A && cat <<B\n1\nA\n2\nB\n")).argv, [
      "/bin/sh",
      "-c",
      "cat <<A && cat <<B\n1\nA\n2\nB",
    ]);
  });

  test("sources of several kinds come in one layer", async () => {
    const text = "FROM base\nADD a https://example.com/b.txt <<c /dest/\nbody\nc\n";
    const { target, image } = (await planText(text)).platforms[0]!;
    assert.equal(image.entries.length, 1);
    assert.ok(target.kind === "copy" && target.base.kind === "image" && target.destination === "/dest/");
    assert.deepEqual(target.sources, ["/"]);
    assert.equal(
      createdBy(finishImage(image, resultsOf(image)).config)[1],
      "ADD a https://example.com/b.txt <<c /dest/ # buildkit",
    );
  });

  test("here-documents of COPY are written where they belong, with variables unless quoted", async () => {
    const files = async (text: string) => {
      const { target } = (await planText(`FROM base\nENV X=1\nWORKDIR /w\n${text}`)).platforms[0]!;
      assert.ok(target.kind === "write");
      return target.files;
    };
    assert.deepEqual(await files("COPY <<a <<'b' sub/\n$X \"q\"\na\n$X\nb\n"), [
      { name: "a", path: "/w/sub/a", data: '1 "q"\n' },
      { name: "b", path: "/w/sub/b", data: "$X\n" },
    ]);
    assert.deepEqual(await files("COPY --chmod=700 <<a conf\nx\na\n"), [{ name: "a", path: "/w/conf", data: "x\n" }]);
  });

  test("mounts have BuildKit's defaults", async () => {
    const text = `FROM busybox AS tools
FROM base
ARG ID=key
WORKDIR /w
RUN --mount=target=. --mount=from=tools,source=/bin,target=/t,rw --mount=type=cache,target=/c/,sharing=locked,uid=5 \\
  --mount=type=tmpfs,target=/tmp,size=64m --mount=type=secret,id=$ID,required --mount=type=secret,id=e,env=TOKEN \\
  --mount=type=ssh x`;
    const { target } = (await planText(text, { buildArgs: { BUILDKIT_CACHE_MOUNT_NS: "ns" } })).platforms[0]!;
    assert.ok(target.kind === "run");
    const shown = target.mounts.map((mount) => ("from" in mount ? { ...mount, from: mount.from?.kind } : mount));
    const root = { uid: 0, gid: 0 };
    assert.deepEqual(shown, [
      { kind: "bind", from: "context", source: "/", target: "/w", writable: false },
      { kind: "bind", from: "image", source: "/bin", target: "/t", writable: true },
      {
        ...{ kind: "cache", id: "ns//c/", from: undefined, source: "/", target: "/c", sharing: "locked" },
        ...{ readOnly: false, mode: 0o755, uid: 5, gid: 0 },
      },
      { kind: "tmpfs", target: "/tmp", sizeBytes: 64 * 1024 * 1024 },
      { kind: "secret", id: "key", target: "/run/secrets/key", env: "", required: true, mode: 0o400, ...root },
      { kind: "secret", id: "e", target: "", env: "TOKEN", required: false, mode: 0o400, ...root },
      { kind: "ssh", id: "default", target: "/run/buildkit/ssh_agent.0", required: false, mode: 0o600, ...root },
    ]);
  });

  test('paths of COPY are taken from the working directory, "." is a directory', async () => {
    const to = async (destination: string) => {
      const { target } = (await planText(`FROM base\nWORKDIR /w\nCOPY a ${destination}`)).platforms[0]!;
      return target.kind === "copy" && target.destination;
    };
    const cases = {
      ".": "/w/",
      "./": "/w/",
      x: "/w/x",
      "x/": "/w/x/",
      "/": "/",
      "/a//b/../c": "/a/c",
      "x/.": "/w/x/",
      "..": "/",
    };
    for (const [written, absolute] of Object.entries(cases)) assert.equal(await to(written), absolute, written);
  });

  test("--link makes a layer of its own, unless there is a --chmod", async () => {
    const linked = (await planText("FROM base\nCOPY --link a /b/")).platforms[0]!.target;
    assert.ok(linked.kind === "merge" && linked.layer.kind === "copy" && linked.layer.base.kind === "scratch");
    assert.equal((await planText("FROM base\nCOPY --link --chmod=755 a /b/")).platforms[0]!.target.kind, "copy");
  });
});

function* walk(vertex: Vertex, seen = new Set<Vertex>()): Generator<Vertex> {
  if (seen.has(vertex)) return;
  seen.add(vertex);
  if (vertex.kind !== "scratch") yield vertex;
  for (const input of inputsOf(vertex)) yield* walk(input, seen);
}
