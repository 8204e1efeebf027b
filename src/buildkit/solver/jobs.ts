/**
 * Work that several builds may want at once, by key: it runs once, and every build that waits for it is told everything, also who joins later.
 *
 * Lifecycle of a job: the first `run` of a key begins it -> others join -> it ends, and is known no more. A build that gives up leaves it; when the
 * last one leaves it is aborted, and that build waits until it has undone what it began. From then on the key is free for a new job.
 */
import { HullError } from "../../platform/errors.ts";
import type { BuildEvent } from "../progress.ts";
import type { Secrets } from "./ports.ts";
import { Spool } from "./spool.ts";

type Tell<E> = E extends { readonly id: string } ? Omit<E, "id"> : never;
/** What work says about itself; who is told knows it by an id of its own. */
export type JobEvent = Tell<Extract<BuildEvent, { readonly kind: "waiting" | "started" | "status" }>>;
export type JobLogEvent = Tell<Extract<BuildEvent, { readonly kind: "log" }>>;

/** A build's interest in a job. */
export interface Watcher {
  readonly listener: (event: JobEvent | JobLogEvent) => void;
  readonly secrets: Secrets;
  readonly signal: AbortSignal;
}

export interface JobContext {
  /** Aborted when nobody wants it any more. */
  readonly signal: AbortSignal;
  /** Of whichever interested build has them. */
  readonly secrets: Secrets;
  tell(event: JobEvent): void;
  /** Resolves when it is on disk. */
  output(stream: 1 | 2, data: Uint8Array): Promise<void>;
}

type Work<T> = (context: JobContext) => Promise<T>;

export class Jobs {
  readonly #jobs = new Map<string, Job<unknown>>();

  constructor(private readonly logs: { readonly directory: string; readonly nowNs: () => bigint }) {}

  has(key: string): boolean {
    return this.#jobs.has(key);
  }

  /** Joins the job, or begins it with `work`. All works of a key yield the same. */
  run<T>(key: string, watcher: Watcher, work: Work<T>): Promise<T> {
    const known = this.#jobs.get(key) as Job<T> | undefined;
    if (known) return known.join(watcher);
    const free = (): void => {
      if (this.#jobs.get(key) === job) this.#jobs.delete(key);
    };
    const job = new Job<T>({ ...this.logs, onOver: free });
    this.#jobs.set(key, job as Job<unknown>);
    const joined = job.join(watcher);
    job.begin(work);
    return joined;
  }
}

interface Watching extends Watcher {
  /** Where in the log it has come to. */
  at: number;
}

interface JobOptions {
  readonly directory: string;
  readonly nowNs: () => bigint;
  /** It can't be joined any more. */
  readonly onOver: () => void;
}

class Job<T> {
  readonly #watchers = new Set<Watching>();
  readonly #abort = new AbortController();
  readonly #ended = Promise.withResolvers<T>();
  /** The last of each kind and name, for those that join later. */
  readonly #said = new Map<string, JobEvent>();
  #log: Spool | undefined;
  /** Who needs the log: the work, and everyone who joined. */
  #users = 1;

  constructor(private readonly options: JobOptions) {
    this.#ended.promise.catch(() => undefined); // Told to those that joined.
  }

  begin(work: Work<T>): void {
    const context: JobContext = {
      signal: this.#abort.signal,
      secrets: this.#secrets(),
      tell: (event) => this.#tell(event),
      output: (stream, data) => this.#output(stream, data),
    };
    work(context)
      .finally(() => this.options.onOver())
      .then(this.#ended.resolve, this.#ended.reject)
      .finally(() => this.#release());
  }

  async join(watcher: Watcher): Promise<T> {
    watcher.signal.throwIfAborted();
    const watching: Watching = { ...watcher, at: 0 };
    this.#watchers.add(watching);
    this.#users++;
    const left = Promise.withResolvers<never>();
    left.promise.catch(() => undefined);
    const leave = (): void => {
      this.#leave(watching);
      left.reject(watcher.signal.reason);
    };
    watcher.signal.addEventListener("abort", leave, { once: true });
    try {
      for (const event of this.#said.values()) watcher.listener(event);
      const ended = await Promise.race([this.#outcome(watching), left.promise]);
      if (ended.status === "rejected") throw ended.reason;
      return ended.value;
    } finally {
      watcher.signal.removeEventListener("abort", leave);
      this.#watchers.delete(watching);
      // The last one that leaves waits until everything is undone.
      if (this.#abort.signal.aborted) await Promise.allSettled([this.#ended.promise]);
      await this.#release();
    }
  }

  /** The end, when everything before it has been told. */
  async #outcome(watching: Watching): Promise<PromiseSettledResult<T>> {
    await this.#replay(watching);
    const [ended] = await Promise.allSettled([this.#ended.promise]);
    await this.#replay(watching);
    return ended;
  }

  #leave(watching: Watching): void {
    this.#watchers.delete(watching);
    if (this.#watchers.size > 0) return;
    this.options.onOver();
    this.#abort.abort(new HullError("cancelled", "nobody waits for this step any more"));
  }

  async #release(): Promise<void> {
    if (--this.#users === 0) await this.#log?.[Symbol.asyncDispose]();
  }

  #tell(event: JobEvent): void {
    this.#said.set(event.kind === "status" ? `status ${event.name}` : event.kind, event);
    if (event.kind === "started") this.#said.delete("waiting");
    for (const { listener } of this.#watchers) listener(event);
  }

  async #output(stream: 1 | 2, data: Uint8Array): Promise<void> {
    this.#log ??= new Spool(this.options.directory);
    const piece = { stream, atNs: this.options.nowNs(), data: data.slice() };
    const { start, end } = await this.#log.append(piece);
    for (const watching of this.#watchers) {
      // Others are still reading what came before, and will find it.
      if (watching.at !== start) continue;
      watching.at = end;
      watching.listener({ kind: "log", ...piece });
    }
  }

  async #replay(watching: Watching): Promise<void> {
    const log = this.#log;
    while (log && watching.at < log.size && this.#watchers.has(watching)) {
      const before = watching.at;
      const { pieces, next } = await log.read(before);
      if (watching.at !== before) continue;
      watching.at = next;
      for (const piece of pieces) watching.listener({ kind: "log", ...piece });
    }
  }

  #secrets(): Secrets {
    return {
      secret: (id, signal) => this.#first(({ secrets }) => secrets.secret(id, signal)),
      sshAgent: (id, signal) => this.#first(({ secrets }) => secrets.sshAgent(id, signal)),
    };
  }

  async #first<V>(ask: (watcher: Watcher) => Promise<V | undefined>): Promise<V | undefined> {
    for (const watcher of [...this.#watchers]) {
      const found = await ask(watcher);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}
