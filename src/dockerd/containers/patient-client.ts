/** hull-containerd is away for about 100 ms when it was killed: a call that never reached it is made again. */
import { setTimeout as sleep } from "node:timers/promises";
import { HullError } from "../../platform/errors.ts";

const AWAY_MS = 3000;
const RETRY_MS = 20;

/** Nobody listened: nothing has happened on the other side. */
const unheard = (error: unknown): boolean =>
  error instanceof HullError && error.code === "unavailable" && /\b(ECONNREFUSED|ENOENT)\b/.test(error.message);

async function reached(work: () => Promise<unknown>): Promise<unknown> {
  const giveUpAt = Date.now() + AWAY_MS;
  for (;;) {
    try {
      return await work();
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
      return typeof method === "function" ? (...args: unknown[]) => reached(() => method.apply(calls, args)) : method;
    },
  });
}
