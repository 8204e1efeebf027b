import assert from "node:assert/strict";
import { test } from "node:test";
import type { Step } from "../graph/plan.ts";
import type { Vertex } from "../graph/vertex.ts";
import { vertexId } from "../graph/vertex-id.ts";
import { tellSteps } from "./classic-progress.ts";
import { VertexLogs } from "./vertex-log.ts";

const common = { location: undefined, ignoreCache: false, platform: "linux/amd64" };
const base: Vertex = { ...common, name: "FROM", kind: "image", reference: "busybox", digest: "sha256:b", chainId: "b" };
const copy: Vertex = {
  ...common,
  name: "WORKDIR",
  kind: "write",
  base,
  files: [],
  owner: undefined,
  chmod: undefined,
};
const run = (command: string): Vertex => ({
  ...common,
  name: command,
  kind: "run",
  base,
  argv: ["/bin/sh", "-c", command],
  env: [],
  uncachedEnv: [],
  workingDirectory: "/",
  user: "",
  mounts: [],
  network: "default",
  security: "sandbox",
  hostname: "",
  extraHosts: [],
  limits: {
    shmBytes: 0,
    memoryBytes: 0,
    memorySwapBytes: 0,
    cpuShares: 0,
    cpuPeriodUs: 0,
    cpuQuotaUs: 0,
    cpusetCpus: "",
    cpusetMems: "",
    cgroupParent: "",
    ulimits: [],
  },
  pipes: [],
});

function steps(...list: readonly (readonly [text: string, vertex: Vertex | undefined])[]): Step[] {
  return list.map(([text, vertex], i) => ({
    number: i + 1,
    count: list.length,
    text,
    stage: 0,
    needed: true,
    vertex,
    entries: i,
    notes: [],
    triggers: [],
  }));
}

interface Told {
  readonly lines: string[];
  readonly logs: VertexLogs;
  readonly done: Promise<void>;
}

function tell(list: readonly Step[], known = false): Told {
  const lines: string[] = [];
  const logs = new VertexLogs("/var/tmp");
  const done = tellSteps({
    steps: list,
    logs,
    removes: true,
    idOf: async (step) => ({ id: `sha256:${String(step.number).repeat(64)}`, known }),
    send: async (text) => void lines.push(text.trimEnd()),
  });
  return { lines, logs, done };
}

const streams = (lines: readonly string[]): string =>
  lines.map((line) => (JSON.parse(line) as { stream?: string }).stream ?? "").join("");
const ids = (text: string): string => text.replace(/[0-9a-f]{12}(?=\n)/g, "ID");
const say = (logs: VertexLogs, vertex: Vertex, text: string, stream: 1 | 2 = 1) =>
  logs.listen({ kind: "log", id: vertexId(vertex), atNs: 0n, stream, data: Buffer.from(text) });
const complete = (logs: VertexLogs, vertex: Vertex, cached: boolean, error = "") =>
  logs.listen({ kind: "completed", id: vertexId(vertex), atNs: 0n, cached, error });

test("a build says what dockerd's classic builder says", async () => {
  const make = run("make");
  const { lines, logs, done } = tell(
    steps(["FROM busybox", base], ["COPY . /", copy], ["RUN make", make], ['CMD ["x"]', undefined]),
  );
  complete(logs, base, false);
  complete(logs, copy, false);
  say(logs, make, "made\n");
  say(logs, make, "warned\n", 2);
  complete(logs, make, false);
  await done;
  assert.equal(
    ids(streams(lines)),
    [
      "Step 1/4 : FROM busybox\n ---> ID\n",
      "Step 2/4 : COPY . /\n ---> ID\n",
      "Step 3/4 : RUN make\n ---> Running in ID\nmade\n\u001b[91mwarned\n\u001b[0m",
      " ---> Removed intermediate container ID\n ---> ID\n",
      'Step 4/4 : CMD ["x"]\n ---> Running in ID\n ---> Removed intermediate container ID\n ---> ID\n',
    ].join(""),
  );
  assert.deepEqual(JSON.parse(lines.at(-1)!), { aux: { ID: `sha256:${"4".repeat(64)}` } });
  await logs[Symbol.asyncDispose]();
});

test("triggers of an image are told behind its FROM, which has one image", async () => {
  const make = run("make");
  const [from, cmd] = steps(["FROM app", make], ['CMD ["x"]', undefined]);
  const triggers = [
    { text: "COPY . /", vertex: copy, entries: 1 },
    { text: "RUN make", vertex: make, entries: 2 },
    { text: "ENV a=b", vertex: undefined, entries: 3 },
  ];
  const { lines, logs, done } = tell([{ ...from!, notes: ["# Executing 3 build triggers"], triggers }, cmd!]);
  complete(logs, copy, false);
  say(logs, make, "made\n");
  complete(logs, make, false);
  await done;
  const removed = " ---> Removed intermediate container ID\n";
  assert.equal(
    ids(streams(lines)),
    [
      `Step 1/2 : FROM app\n# Executing 3 build triggers\n ---> Running in ID\nmade\n${removed}`,
      ` ---> Running in ID\n${removed} ---> ID\n`,
      `Step 2/2 : CMD ["x"]\n ---> Running in ID\n${removed} ---> ID\n`,
    ].join(""),
  );
  await logs[Symbol.asyncDispose]();
});

test("what is known says so and runs nowhere", async () => {
  const make = run("make");
  const { lines, logs, done } = tell(steps(["FROM busybox", base], ["RUN make", make], ["ENV a=b", undefined]), true);
  complete(logs, base, true);
  complete(logs, make, true);
  await done;
  assert.equal(
    ids(streams(lines)),
    "Step 1/3 : FROM busybox\n ---> ID\nStep 2/3 : RUN make\n ---> Using cache\n ---> ID\nStep 3/3 : ENV a=b\n ---> Using cache\n ---> ID\n",
  );
  await logs[Symbol.asyncDispose]();
});

test("a later step's output waits for the steps before it, however much it is", async () => {
  const [first, second] = [run("first"), run("second")];
  const { lines, logs, done } = tell(steps(["FROM busybox", base], ["RUN first", first], ["RUN second", second]));
  complete(logs, base, false);
  const much = "x".repeat(50_000);
  for (let i = 0; i < 10; i++) say(logs, second, much);
  complete(logs, second, false);
  await new Promise((resolve) => setImmediate(resolve));
  assert.doesNotMatch(streams(lines), /RUN second/);
  say(logs, first, "first\n");
  complete(logs, first, false);
  await done;
  const text = streams(lines);
  assert.ok(text.indexOf("first\n ---> Removed") < text.indexOf("Step 3/3 : RUN second"));
  assert.equal(text.match(/x/g)!.length - "busybox".match(/x/g)!.length, 500_000);
  await logs[Symbol.asyncDispose]();
});

test("of a build that fails the steps up to the failing one are told, not those after it", async () => {
  const [slow, bad, never] = [run("slow"), run("bad"), run("never")];
  const { lines, logs, done } = tell(
    steps(["FROM busybox", base], ["RUN slow", slow], ["RUN bad", bad], ["RUN never", never]),
  );
  complete(logs, base, false);
  say(logs, bad, "oops\n");
  complete(logs, bad, false, "exit code 3");
  complete(logs, slow, false, "cancelled");
  logs.finish();
  await done;
  const text = streams(lines);
  assert.match(text, /RUN slow\nStep 3\/4 : RUN bad\n ---> Running in [0-9a-f]{12}\noops\n$/);
  await logs[Symbol.asyncDispose]();
});
