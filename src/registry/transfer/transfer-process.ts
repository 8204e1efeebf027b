/**
 * The transfer process as hull-containerd sees it.
 *
 * Lifecycle: started by the first request, ended when there was none for a while, started anew after its death (what it had in hand fails with
 * `unavailable`; partial files stay and are gone on with) -> disposal ends it.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { type ErrorCode, HullError } from "../../platform/errors.ts";
import { roleInvocation } from "../../platform/paths.ts";
import {
  type FromTransfers,
  type ToTransfers,
  TRANSFER_ARGUMENT,
  type TransferMethod,
  type TransferMethods,
  type TransferProgress,
} from "./protocol.ts";

const IDLE_MS = 30_000;

type Child = ChildProcessByStdio<Writable, Readable, null>;

interface Waiting {
  readonly answer: PromiseWithResolvers<unknown>;
  readonly onProgress: (progress: TransferProgress) => void;
}

export interface AskOptions {
  /** Aborts what was asked. */
  readonly signal: AbortSignal;
  readonly onProgress?: ((progress: TransferProgress) => void) | undefined;
}

/** What pulls and pushes use of it. */
export interface Transfers {
  ask<M extends TransferMethod>(
    method: M,
    params: TransferMethods[M]["params"],
    options: AskOptions,
  ): Promise<TransferMethods[M]["result"]>;
}

export class TransferProcess implements Transfers, Disposable {
  #child: Child | undefined;
  #nextId = 1;
  #idle: NodeJS.Timeout | undefined;
  readonly #waiting = new Map<number, Waiting>();

  async ask<M extends TransferMethod>(
    method: M,
    params: TransferMethods[M]["params"],
    options: AskOptions,
  ): Promise<TransferMethods[M]["result"]> {
    const { signal, onProgress = () => {} } = options;
    signal.throwIfAborted();
    clearTimeout(this.#idle);
    const child = this.#running();
    const id = this.#nextId++;
    const answer = Promise.withResolvers<unknown>();
    this.#waiting.set(id, { answer, onProgress });
    const send = (message: ToTransfers): boolean => child.stdin.write(`${JSON.stringify(message)}\n`);
    const abort = (): void => {
      send({ id, cancel: true });
    };
    signal.addEventListener("abort", abort, { once: true });
    send({ id, method, params });
    try {
      return (await answer.promise) as TransferMethods[M]["result"];
    } finally {
      signal.removeEventListener("abort", abort);
      this.#waiting.delete(id);
      if (this.#waiting.size === 0) this.#idle = setTimeout(() => this[Symbol.dispose](), IDLE_MS).unref();
    }
  }

  /** Its process id; 0 while none runs. */
  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#idle);
    this.#child?.stdin.end();
  }

  #running(): Child {
    if (this.#child && !this.#child.stdin.writableEnded) return this.#child;
    const { file, args } = roleInvocation("hull-containerd");
    const child = spawn(file, [...args, TRANSFER_ARGUMENT], { stdio: ["pipe", "pipe", "inherit"] });
    this.#child = child;
    child.stdin.on("error", () => {}); // Its end tells those that wait.
    createInterface({ input: child.stdout }).on("line", (line) => this.#take(JSON.parse(line) as FromTransfers));
    child.on("error", () => this.#gone(child));
    child.on("exit", () => this.#gone(child));
    return child;
  }

  #take(message: FromTransfers): void {
    const waiting = this.#waiting.get(message.id);
    if (waiting === undefined) return;
    if ("progress" in message) {
      waiting.onProgress(message.progress);
      return;
    }
    this.#waiting.delete(message.id);
    if ("value" in message) {
      waiting.answer.resolve(message.value);
      return;
    }
    const { code, message: text, facts } = message.error;
    waiting.answer.reject(new HullError(code as ErrorCode, text, { facts }));
  }

  #gone(child: Child): void {
    if (this.#child !== child) return;
    this.#child = undefined;
    for (const { answer } of this.#waiting.values())
      answer.reject(
        new HullError(
          "unavailable",
          "the process that transfers layers has ended: try again, what has arrived is kept",
        ),
      );
    this.#waiting.clear();
  }
}
