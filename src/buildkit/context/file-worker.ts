/** The worker process as the daemon sees it. Lifecycle: started by the first request, again after its death -> disposal ends it. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { type ErrorCode, HullError } from "../../platform/errors.ts";
import { roleInvocation } from "../../platform/paths.ts";
import type { WorkerAnswer, WorkerRequest } from "./worker-protocol.ts";

/** First argument of the role in the worker. */
export const WORKER_ARGUMENT = "files-worker";

type Child = ChildProcessByStdio<Writable, Readable, null>;

export class FileWorker implements Disposable {
  #child: Child | undefined;
  #nextId = 1;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();

  /** Throws what the worker failed of. Abort stops waiting; what was asked is done all the same. */
  async ask<T>(request: WorkerRequest, signal: AbortSignal): Promise<T> {
    signal.throwIfAborted();
    const child = this.#running();
    const id = this.#nextId++;
    const answer = Promise.withResolvers<unknown>();
    this.#waiting.set(id, answer);
    child.stdin.write(`${JSON.stringify({ id, ...request })}\n`);
    return (await answer.promise) as T;
  }

  [Symbol.dispose](): void {
    this.#child?.stdin.end();
  }

  #running(): Child {
    if (this.#child) return this.#child;
    const { file, args } = roleInvocation("hull-buildkitd");
    const child = spawn(file, [...args, WORKER_ARGUMENT], { stdio: ["pipe", "pipe", "inherit"] });
    this.#child = child;
    child.stdin.on("error", () => {}); // Its end tells those that wait.
    createInterface({ input: child.stdout }).on("line", (line) => this.#take(JSON.parse(line) as WorkerAnswer));
    child.on("error", () => this.#gone(child));
    child.on("exit", () => this.#gone(child));
    return child;
  }

  #take(answer: WorkerAnswer): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if ("code" in answer) waiting?.reject(new HullError(answer.code as ErrorCode, answer.message));
    else waiting?.resolve(answer.value);
  }

  #gone(child: Child): void {
    if (this.#child !== child) return;
    this.#child = undefined;
    for (const waiting of this.#waiting.values())
      waiting.reject(new HullError("unavailable", "the builder's worker for files has ended: run the build again"));
    this.#waiting.clear();
  }
}
