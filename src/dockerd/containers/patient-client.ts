/**
 * hull-containerd is away for about 100 ms when it was killed. A call that never reached it is made again; one that was cut off on its way
 * only when doing it twice is the same as doing it once.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { HullError, messageOf } from "../../platform/errors.ts";

const AWAY_MS = 3000;
const RETRY_MS = 20;

/** Reads, and what has the same end however often it is done. */
const repeatable: ReadonlySet<string> = new Set([
  "changes",
  "delete",
  "deleteProcess",
  "info",
  "list",
  "listPids",
  "mount",
  "paths",
  "remove",
  "stats",
  "stopSandbox",
  "unmount",
  "update",
  "usage",
]);

/** Nobody listened: nothing has happened on the other side. */
const unheard = (error: unknown): boolean => /\bconnect (ECONNREFUSED|ENOENT)\b|ECONNREFUSED/.test(messageOf(error));

async function reached(name: string, work: () => Promise<unknown>): Promise<unknown> {
  const giveUpAt = Date.now() + AWAY_MS;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      const isAway = error instanceof HullError && error.code === "unavailable";
      if (!isAway || !(unheard(error) || repeatable.has(name)) || Date.now() >= giveUpAt) throw error;
      await sleep(RETRY_MS);
    }
  }
}

/** A stream of answers; one that nobody heard is asked for again, one that had begun is not. */
export async function* patientStream<T>(open: () => AsyncIterable<T>): AsyncGenerator<T> {
  const giveUpAt = Date.now() + AWAY_MS;
  for (;;) {
    try {
      return yield* open();
    } catch (error) {
      if (!unheard(error) || Date.now() >= giveUpAt) throw error;
      await sleep(RETRY_MS);
    }
  }
}

/** The same services; only for unary calls. */
export function patient<C extends object>(client: C): C {
  return new Proxy(client, { get: (services, name) => patientService(Reflect.get(services, name)) });
}

function patientService(service: unknown): unknown {
  if (typeof service !== "object" || service === null) return service;
  return new Proxy(service, {
    get(calls, name) {
      const method: unknown = Reflect.get(calls, name);
      if (typeof method !== "function") return method;
      return (...args: unknown[]) => reached(String(name), () => method.apply(calls, args));
    },
  });
}
