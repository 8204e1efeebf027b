/**
 * Follows hull-containerd's events and makes records agree with what runs. One stream, opened once; when it breaks it is opened again and
 * everything is looked up anew, so that nothing that happened in between is missed or told twice.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type ContainerdClient, type ContainerdEvent, call, decodeEvent } from "../../../containerd/client.ts";
import { messageOf } from "../../../platform/errors.ts";
import type { Warn } from "../deps.ts";
import { timeOf } from "../tasks.ts";
import type { ProcessEnd } from "./exit.ts";

const RETRY_MS = 50;

export interface TaskEvents {
  readonly exited: (container: string, end: ProcessEnd & { readonly pid: number }) => void;
  readonly execExited: (container: string, execId: string, exitCode: number) => void;
  readonly outOfMemory: (container: string) => void;
  /** The stream stands (again): look at everything. */
  readonly connected: () => Promise<void>;
}

/** Until `signal` aborts. */
export async function followTasks(
  client: ContainerdClient,
  events: TaskEvents,
  context: { readonly log: Warn; readonly signal: AbortSignal },
): Promise<void> {
  const { log, signal } = context;
  let said = "";
  while (!signal.aborted) {
    try {
      await followOnce(client, events, context);
    } catch (error) {
      // The same reason again and again is said once.
      if (!signal.aborted && messageOf(error) !== said) log.info(`following tasks: ${messageOf(error)}`);
      said = messageOf(error);
    }
    await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined); // Aborted: the loop ends.
  }
}

async function followOnce(
  client: ContainerdClient,
  events: TaskEvents,
  { log, signal }: { readonly log: Warn; readonly signal: AbortSignal },
): Promise<void> {
  const broken = new AbortController();
  const stream = client.events.subscribe(
    { filters: ["namespace==moby,topic~=|^/tasks/|"] },
    call({ signal: AbortSignal.any([signal, broken.signal]) }),
  );
  const iterator = stream[Symbol.asyncIterator]();
  const first = iterator.next();
  first.catch(() => undefined); // Read below, after the look at everything.
  try {
    await client.version.version({}, call({ signal, timeoutMs: 10_000 }));
    events.connected().catch((error: unknown) => {
      log.warn(`making records agree with what runs: ${messageOf(error)}`);
      broken.abort();
    });
    for (let item = await first; !item.done; item = await iterator.next()) {
      const event = decodeEvent(item.value);
      if (event) deliver(event, events);
    }
  } finally {
    broken.abort();
  }
}

function deliver(decoded: ContainerdEvent, events: TaskEvents): void {
  if (decoded.topic === "/tasks/oom") events.outOfMemory(decoded.event.containerId);
  if (decoded.topic !== "/tasks/exit") return;
  const { containerId, id, pid, exitStatus, exitedAt } = decoded.event;
  if (id === "" || id === containerId)
    events.exited(containerId, { pid, exitCode: exitStatus, at: timeOf(exitedAt), oomKilled: false });
  else events.execExited(containerId, id, exitStatus);
}
