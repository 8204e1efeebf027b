/** For the tests of kills: who runs for an engine, and how fast something is there again. */
import { readdirSync, readFileSync } from "node:fs";
import { request } from "node:http";
import { connect } from "node:net";
import { processesOf, type TestEngine } from "./engine.ts";

export const comm = (pid: number): string => readFileSync(`/proc/${pid}/comm`, "utf8").trim();

export const parent = (pid: number): number =>
  Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]);

export const pidOf = async (engine: TestEngine, id: string): Promise<number> =>
  Number(await engine.inspect(id, "{{.State.Pid}}"));

export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false; // Its entry is gone.
  }
}

/** Throws when none runs, which is so for a moment after its death. */
export function daemon(engine: TestEngine, name: string): number {
  const pid = processesOf(engine.execRoot).find((candidate) => isAlive(candidate) && comm(candidate) === name);
  if (!pid) throw new Error(`no ${name} runs`);
  return pid;
}

export function childNamed(pid: number, name: string): number {
  const found = readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .find((candidate) => {
      try {
        return parent(candidate) === pid && comm(candidate) === name;
      } catch {
        return false; // It ended in between.
      }
    });
  if (found === undefined) throw new Error(`${pid} has no child ${name}`);
  return found;
}

export function opens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port, timeout: 500 });
    const settle = (isOpen: boolean) => {
      socket.destroy();
      resolve(isOpen);
    };
    socket
      .on("connect", () => settle(true))
      .on("error", () => settle(false))
      .on("timeout", () => settle(false));
  });
}

/** Whether the API answers now. */
export function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request({ socketPath, path: "/_ping", timeout: 500, agent: false }, (response) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode === 200));
    });
    asked.on("error", () => resolve(false)).on("timeout", () => asked.destroy());
    asked.end();
  });
}

/** Milliseconds until it is so. */
export async function timeUntil(isSo: () => Promise<boolean>, deadlineMs = 10_000): Promise<number> {
  const begun = performance.now();
  while (!(await isSo())) {
    if (performance.now() - begun > deadlineMs) throw new Error(`not within ${deadlineMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return performance.now() - begun;
}

const SPIN_MS = 20;

/** How much longer work takes here now than its own time on a processor: 1 on a machine that does nothing else. */
function contention(): number {
  const begun = performance.now();
  const before = process.cpuUsage();
  for (let spent = 0; spent < SPIN_MS; ) {
    for (let i = 0; i < 10_000; i++) Math.sqrt(i);
    const { user, system } = process.cpuUsage(before);
    spent = (user + system) / 1000;
  }
  return Math.max(1, (performance.now() - begun) / SPIN_MS);
}

/**
 * Of several times the shortest, each in the milliseconds it would have been without the company on the processors: what the engine itself
 * needs, also on a machine that does other things.
 */
export async function fastestOf(times: number, measure: () => Promise<number>): Promise<number> {
  const measured: number[] = [];
  for (let i = 0; i < times; i++) {
    const before = contention();
    const ms = await measure();
    measured.push(ms / ((before + contention()) / 2));
  }
  return Math.min(...measured);
}

/** Containers' processes whose supervisor is found by the container's id. */
export const shimsOf = (id: string): number[] =>
  processesOf(id).filter((pid) => isAlive(pid) && comm(pid) === "keel-shim");
