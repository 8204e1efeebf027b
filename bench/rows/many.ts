/** A hundred containers: how fast they start, what they cost, what reads and a restart of hulld take among them. */

import { readdirSync, readFileSync } from "node:fs";
import { Agent, type ClientRequestArgs, request } from "node:http";
import { type TestEngine, until } from "../../test/engine.ts";
import { mediansInTurn, pause, percentile, RUNS } from "../measure.ts";
import { ms, type Row } from "../row.ts";

const CONTAINERS = 100;
const SETTLE_MS = 15_000;

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** Engine API calls on kept-open connections. */
export class Api implements Disposable {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 32 });
  constructor(readonly socketPath: string) {}

  call(method: string, path: string, body?: unknown): Promise<Answer> {
    const text = body === undefined ? "" : JSON.stringify(body);
    const headers = { Host: "docker", "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) };
    const options: ClientRequestArgs = { socketPath: this.socketPath, method, path, agent: this.#agent, headers };
    return new Promise((resolve, reject) => {
      const sent = request(options, (response) => {
        let received = "";
        response.on("data", (chunk) => {
          received += chunk;
        });
        response.on("end", () => resolve({ status: response.statusCode ?? 0, body: received }));
      });
      sent.on("error", reject);
      sent.end(text);
    });
  }

  async must(method: string, path: string, body?: unknown): Promise<string> {
    const answer = await this.call(method, path, body);
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.body}`);
    return answer.body;
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

const sleeper = { Image: "busybox", Cmd: ["sleep", "100000"] };

async function startOne(api: Api, i: number): Promise<string> {
  const { Id: id } = JSON.parse(await api.must("POST", `/containers/create?name=bench-${i}`, sleeper)) as {
    Id: string;
  };
  await api.must("POST", `/containers/${id}/start`);
  return id;
}

const startAll = (api: Api): Promise<string[]> =>
  Promise.all(Array.from({ length: CONTAINERS }, (_, i) => startOne(api, i)));

/** Proportional set size or private bytes of a process, from smaps_rollup. */
function memoryOf(pid: number, fields: readonly string[]): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  return fields.reduce(
    (sum, field) => sum + Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? 0),
    0,
  );
}

const privateKb = (pid: number): number => memoryOf(pid, ["Private_Clean", "Private_Dirty"]);

function pidsWhere(test: (cmdline: string, comm: string) => boolean): number[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const cmdline = readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ");
      return test(cmdline, readFileSync(`/proc/${name}/comm`, "utf8").trim()) ? [Number(name)] : [];
    } catch {
      // It ended in between.
      return [];
    }
  });
}

/** hulld, its daemons and their keels: everything below hulld's exec root that is no pause or shim. */
export function daemonPids(engine: TestEngine): number[] {
  const daemons = pidsWhere(
    (cmdline, comm) => /^(hulld|hull-containerd|hull-netd)$/.test(comm) && cmdline.includes(engine.execRoot),
  );
  const children = pidsWhere((_, comm) => /^keel-(serve|ports)/.test(comm)).filter((pid) =>
    daemons.includes(parentOf(pid)),
  );
  const ports = pidsWhere((cmdline, comm) => comm.startsWith("keel-ports") && cmdline.includes(engine.execRoot));
  return [...new Set([...daemons, ...children, ...ports])];
}

/** 0 when it has ended. */
function parentOf(pid: number): number {
  try {
    return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

export function idleRow(engine: TestEngine): Row {
  const kb = daemonPids(engine).reduce((sum, pid) => sum + memoryOf(pid, ["Pss"]), 0);
  return {
    what: "idle engine, proportional set size of all daemons",
    figure: `${(kb / 1024).toFixed(1)} MB`,
    peer: "",
    target: "under 130 MB",
    met: kb < 130 * 1024,
    must: false,
  };
}

export async function manyRows(engine: TestEngine, hull: string): Promise<Row[]> {
  using api = new Api(engine.socket);
  const started = performance.now();
  const ids = await startAll(api);
  const perSecond = CONTAINERS / ((performance.now() - started) / 1000);
  await Promise.all(ids.map((id) => api.must("DELETE", `/containers/${id}?force=1`)));
  const growth = await growthOf(engine, () => startAll(api));
  const [ps] = (await mediansInTurn([{ command: [hull, "ps"], env: { DOCKER_HOST: `unix://${engine.socket}` } }])) as [
    number,
  ];
  return [
    {
      what: "100 containers started in parallel by API calls from one client",
      figure: `${perSecond.toFixed(1)} per second, none failed`,
      peer: "",
      target: "25 per second",
      met: perSecond >= 25,
      must: true,
    },
    await memoryRow(engine, growth),
    {
      what: "`hull ps` with 100 running containers, whole process",
      figure: ms(ps),
      peer: "",
      target: "under 15 ms",
      met: ps < 15,
      must: false,
    },
    await listRow(api),
    await restartRow(engine),
  ];
}

interface Growth {
  readonly atOnceKb: number;
  readonly settledKb: number;
}

/**
 * What the daemons grow by per container. Against an engine that has had as many before: code that was compiled on the way is the engine's,
 * what a container leaves behind is not. Settled before and after alike: the runtime collects what a burst left after ten quiet seconds.
 */
async function growthOf(engine: TestEngine, start: () => Promise<unknown>): Promise<Growth> {
  const privateKbNow = () => daemonPids(engine).reduce((sum, pid) => sum + privateKb(pid), 0);
  await pause(SETTLE_MS);
  const before = privateKbNow();
  await start();
  const atOnceKb = (privateKbNow() - before) / CONTAINERS;
  await pause(SETTLE_MS);
  return { atOnceKb, settledKb: (privateKbNow() - before) / CONTAINERS };
}

async function memoryRow(engine: TestEngine, { atOnceKb, settledKb }: Growth): Promise<Row> {
  const pid = Number(await engine.inspect("bench-0", "{{.State.Pid}}"));
  const shim = parentOf(pid);
  const kb = privateKb(shim) + privateKb(parentOf(shim));
  return {
    what: `memory per running container: shim + pause private; growth of the daemons ${SETTLE_MS / 1000} s after 100 starts (right after them), on an engine that had 100 before`,
    figure: `${kb} KB; ${settledKb.toFixed(0)} KB (${atOnceKb.toFixed(0)} KB)`,
    peer: "",
    target: "under 300 KB; under 100 KB",
    met: kb < 300 && settledKb < 100,
    must: true,
  };
}

/** Reads on one kept-open connection while 20 containers start. */
async function listRow(api: Api): Promise<Row> {
  const times: number[] = [];
  let starting = true;
  const starts = Promise.all(Array.from({ length: RUNS }, (_, i) => startOne(api, CONTAINERS + i))).finally(() => {
    starting = false;
  });
  using reader = new Api(api.socketPath);
  while (starting) {
    const began = performance.now();
    await reader.must("GET", "/containers/json");
    times.push(performance.now() - began);
  }
  await starts;
  const p99 = percentile(times, 99);
  return {
    what: "`GET /containers/json` on a kept-open connection while 20 starts run, 99th percentile",
    figure: `${ms(p99)} of ${times.length} reads`,
    peer: "",
    target: "under 50 ms",
    met: p99 < 50,
    must: false,
  };
}

async function restartRow(engine: TestEngine): Promise<Row> {
  await engine.endDaemon("SIGKILL");
  const began = performance.now();
  await engine.startDaemon();
  const answered = performance.now() - began;
  using api = new Api(engine.socket);
  await until("all containers are adopted", async () => {
    const list = JSON.parse(await api.must("GET", "/containers/json")) as unknown[];
    return list.length >= CONTAINERS;
  });
  const adopted = performance.now() - began;
  return {
    what: "hulld restart with 100 running containers: API answers; all adopted",
    figure: `${ms(answered)}; ${ms(adopted)}`,
    peer: "",
    target: "300 ms; 1 s",
    met: answered < 300 && adopted < 1000,
    must: true,
  };
}
