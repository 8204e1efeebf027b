/**
 * One container in memory: its current record, its queue, and who waits for it. Readers take `record` and never wait; writers
 * run in `queue` and replace the record with `update` (persisted first).
 */
import { PendingStreams } from "./pending-streams.ts";
import { Queue } from "./queue.ts";
import type { ContainerRecord } from "./record.ts";
import { type ContainerState, isActive, next, type StateEvent } from "./state.ts";
import type { ContainerStore } from "./store.ts";

export interface Ending {
  readonly exitCode: number;
  /** Why a start failed; empty otherwise. */
  readonly error: string;
}

export type WaitCondition = "not-running" | "next-exit" | "removed";

interface Waiter {
  readonly condition: WaitCondition;
  readonly resolve: (ending: Ending) => void;
}

export class Container {
  readonly queue = new Queue();
  /** Aborted and replaced when the current process ends: what belongs to one run (health checks, OOM) ends with it. */
  run = new AbortController();
  /** Ids of execs, for inspect. */
  readonly execIds = new Set<string>();
  /** The user asked for its end: the restart policy stays out. Until its next start. */
  stopRequested = false;
  /** The user asked for its removal: the restart policy stays out until that is over, whatever starts meanwhile. */
  removalRequested = false;
  /** Cancels a pending restart by policy. */
  restartTimer: { cancel(): void } | undefined;
  /** The last delay of the restart policy. */
  restartDelayMs = 0;
  /** The next end is part of a restart: namespaces and addresses stay. */
  keepSandbox = false;
  /** Digest of the specification hull-containerd has, to send it only when it changed. */
  lastSpecDigest = "";
  /** Clients attached before the start. */
  readonly streams: PendingStreams = new PendingStreams();
  readonly #gone = Promise.withResolvers<void>();
  #isGone = false;
  #record: ContainerRecord;
  #waiters = new Set<Waiter>();

  constructor(
    record: ContainerRecord,
    private readonly store: Pick<ContainerStore, "save" | "saveAll" | "settle">,
  ) {
    this.#record = record;
  }

  get record(): ContainerRecord {
    return this.#record;
  }

  get id(): string {
    return this.#record.id;
  }

  /** Its removal has run. */
  get isGone(): boolean {
    return this.#isGone;
  }

  /** When its removal has run, well or not. */
  get whenGone(): Promise<void> {
    return this.#gone.promise;
  }

  get state(): ContainerState {
    return this.#record.state;
  }

  /** Moves the state: something has happened, and is shown whether it can be saved or not (see ContainerStore.settle). Call from the queue. */
  async move(event: StateEvent, changes: Partial<ContainerRecord> = {}): Promise<void> {
    await this.settle({ ...changes, state: next(this.#record.state, event) });
  }

  /** Moves the state without saving it. Call from the queue. */
  pass(event: StateEvent): void {
    this.show({ state: next(this.#record.state, event) });
  }

  /** Saves the state that `work` leads to while it does; shown when it has. When it fails nothing is shown, and the caller moves on. */
  async moveWith<T>(event: StateEvent, changes: Partial<ContainerRecord>, work: () => Promise<T>): Promise<T> {
    const changed = { ...this.#record, ...changes, state: next(this.#record.state, event) };
    const [done] = await Promise.allSettled([work(), this.store.settle(changed)]);
    if (done.status === "rejected") throw done.reason;
    this.#record = changed;
    return done.value;
  }

  /** Of what has happened, outside of the state. */
  async settle(changes: Partial<ContainerRecord>): Promise<void> {
    const changed = { ...this.#record, ...changes };
    await this.store.settle(changed);
    this.#record = changed;
  }

  /** A wish: persisted, then shown, or refused. Call from the queue. */
  async update(changes: Partial<ContainerRecord>): Promise<void> {
    const changed = { ...this.#record, ...changes };
    const hostChanged = changes.hostConfig !== undefined;
    await (hostChanged ? this.store.saveAll(changed) : this.store.save(changed));
    this.#record = changed;
  }

  /** Shown but not persisted: what is looked up again after a restart anyway. */
  show(changes: Partial<ContainerRecord>): void {
    this.#record = { ...this.#record, ...changes };
  }

  /** Resolves at the condition; at once when it holds already. Rejects when aborted. */
  wait(condition: WaitCondition, signal: AbortSignal): Promise<Ending> {
    if (condition === "not-running" && !this.#counts()) return Promise.resolve(this.#ending());
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        condition,
        resolve: (ending) => {
          signal.removeEventListener("abort", onAbort);
          resolve(ending);
        },
      };
      const onAbort = () => {
        this.#waiters.delete(waiter);
        reject(signal.reason);
      };
      if (signal.aborted) return reject(signal.reason);
      signal.addEventListener("abort", onAbort, { once: true });
      this.#waiters.add(waiter);
    });
  }

  /** Tells those who wait that the process ended, or could not be started. */
  tellEnded(): void {
    this.run.abort();
    this.run = new AbortController();
    const stays = this.state.kind !== "restarting";
    this.#tell((waiter) => waiter.condition === "next-exit" || (waiter.condition === "not-running" && stays));
  }

  /** Why its last start failed was told to who started it. */
  tellRemoved(): void {
    this.#tell(() => true, "");
  }

  /** After a removal: nothing of it is left, or it is dead. */
  tellGone(isGone: boolean): void {
    this.#isGone = isGone;
    this.#gone.resolve();
  }

  #tell(concerns: (waiter: Waiter) => boolean, error = this.state.error): void {
    for (const waiter of [...this.#waiters].filter(concerns)) {
      this.#waiters.delete(waiter);
      waiter.resolve({ exitCode: this.state.exitCode, error });
    }
  }

  #counts(): boolean {
    return isActive(this.state) || this.state.kind === "restarting";
  }

  #ending(): Ending {
    return { exitCode: this.state.exitCode, error: this.state.error };
  }
}

/** The user has asked for its end or its removal: it is not for the restart policy any more. */
export const isUnwanted = ({ stopRequested, removalRequested, record }: Container): boolean =>
  stopRequested || removalRequested || record.manuallyStopped;
