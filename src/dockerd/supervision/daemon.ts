/**
 * Keeps one of our daemons running and reachable. A running one is adopted by its socket; a missing one is started detached, so that it
 * outlives hulld; a held connection tells of its death at once.
 *
 * Lifecycle: `start` (returns at once) -> up (onUp) <-> down (started again at once, with growing pauses when it will not stay) -> `stop`
 * (lets it live and stops watching) or `terminate` (SIGTERM and wait).
 */
import type { Socket } from "node:net";
import { connect } from "node:net";
import { codeOf, messageOf } from "../../platform/errors.ts";
import type { Log } from "../../platform/log.ts";
import { isAlive, matchesCommand, terminateProcess } from "./process.ts";
import { type SpawnedDaemon, spawnDaemon } from "./spawn.ts";

export interface DaemonDescription {
  /** "hull-containerd" */
  readonly name: "hull-containerd" | "hull-netd";
  readonly socketPath: string;
  /** Arguments of the role. */
  readonly args: readonly string[];
  /** Where its crash output goes: `<data-root>/logs`. */
  readonly logDirectory: string;
  /** Asks the daemon for its process id over its own protocol, once: `unavailable` when the connection breaks. */
  readonly askPid: () => Promise<number>;
  /** It answers: after start, and after each return. */
  readonly onUp: () => void;
  /** It ended with `refusedExit` while starting: these arguments will never do. It is not started again. */
  readonly onRefused?: (why: string) => void;
  readonly refusedExit?: number;
  readonly log: Log;
}

const CONNECT_STEP_MS = 5;
/** One that lives is on its way, however slow the machine: to kill it would only begin that anew. After this it hangs. */
const START_DEADLINE_MS = 60_000;
const END_DEADLINE_MS = 10_000;
/** A daemon that lived this long gets no pause before its restart. */
const STABLE_MS = 1_000;
const MAX_PAUSE_MS = 2_000;

export type DaemonState = "starting" | "running" | "restarting" | "stopped";

export class SupervisedDaemon {
  state: DaemonState = "starting";
  /** 0 while unknown. */
  pid = 0;
  restarts = 0;
  #held: Socket | undefined;
  /** Started by us, not up yet. */
  #child: SpawnedDaemon | undefined;
  #stopped = false;
  #failures = 0;
  #lastComplaint = "";

  constructor(readonly description: DaemonDescription) {}

  start(): void {
    void this.#run();
  }

  /** Stops watching; the daemon goes on. */
  stop(): void {
    this.#stopped = true;
    this.state = "stopped";
    this.#held?.destroy();
  }

  /** Ends the daemon and waits for it, killing it after `deadlineMs`. */
  async terminate(deadlineMs: number): Promise<void> {
    this.stop();
    const pid = this.isStarting ? this.#child!.pid : this.pid;
    if (pid !== 0) await terminateProcess(pid, deadlineMs);
  }

  /** Its process is there and does not answer yet. */
  get isStarting(): boolean {
    return this.#child !== undefined && this.#child.exitCode() === undefined;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const since = Date.now();
      try {
        await this.#onceUp();
      } catch (error) {
        this.#complain(messageOf(error));
      }
      if (this.#stopped) return;
      this.state = "restarting";
      this.restarts++;
      await this.#pause(Date.now() - since);
    }
  }

  /** A daemon that cannot start says the same every time: once is enough. */
  #complain(message: string): void {
    const { log, name } = this.description;
    if (message !== this.#lastComplaint) log.error(`${name}: ${message}`);
    this.#lastComplaint = message;
  }

  /** Resolves when the daemon has gone away again. */
  async #onceUp(): Promise<void> {
    const { log, name, onUp } = this.description;
    const socket = (await this.#adopt()) ?? (await this.#startAnew());
    if (this.#stopped) {
      socket.destroy();
      return;
    }
    this.#held = socket;
    this.pid = await this.description.askPid();
    this.#child = undefined;
    this.state = "running";
    log.info(`${name} answers`, { pid: this.pid });
    onUp();
    await closed(socket);
    this.#held = undefined;
    if (!this.#stopped) log.warn(`${name} has gone`, { pid: this.pid });
  }

  /** A connection to one that already runs as it should; one with other arguments or of another build is ended first. */
  async #adopt(): Promise<Socket | undefined> {
    const socket = await tryConnect(this.description.socketPath);
    if (!socket) return undefined;
    const pid = await this.#pidOf(socket);
    if (pid === undefined) return undefined;
    if (await matchesCommand(pid, this.description.name, this.description.args)) return socket;
    this.description.log.info(`${this.description.name} runs with other settings: restarting it`, { pid });
    socket.destroy();
    await terminateProcess(pid, END_DEADLINE_MS);
    return undefined;
  }

  /** Undefined: it was being killed, whose socket takes connections until it is gone. */
  async #pidOf(socket: Socket): Promise<number | undefined> {
    try {
      return await this.description.askPid();
    } catch (error) {
      socket.destroy();
      if (codeOf(error) !== "unavailable") throw error;
      return undefined;
    }
  }

  async #startAnew(): Promise<Socket> {
    const child = spawnDaemon(this.description);
    this.#child = child;
    const deadline = Date.now() + START_DEADLINE_MS;
    while (!this.#stopped) {
      const socket = await tryConnect(this.description.socketPath);
      if (socket) return socket;
      if (child.exitCode() !== undefined) throw this.#endedAtStart(child);
      if (Date.now() > deadline) throw giveUp(child);
      await wait(CONNECT_STEP_MS);
    }
    throw new Error("stopped while starting");
  }

  #endedAtStart(child: SpawnedDaemon): Error {
    const { refusedExit, onRefused } = this.description;
    const words = child.lastWords();
    if (refusedExit !== undefined && child.exitCode() === refusedExit) {
      this.stop();
      onRefused?.(words);
    }
    return new Error(`it ended while starting:\n${words}`);
  }

  async #pause(livedMs: number): Promise<void> {
    this.#failures = livedMs > STABLE_MS ? 0 : this.#failures + 1;
    // The first restart is immediate: nobody should notice it.
    if (this.#failures > 1) await wait(Math.min(MAX_PAUSE_MS, 50 * 2 ** (this.#failures - 2)));
  }
}

function giveUp(child: SpawnedDaemon): Error {
  if (isAlive(child.pid)) process.kill(child.pid, "SIGKILL");
  return new Error(`it did not listen within ${START_DEADLINE_MS / 1000} s:\n${child.lastWords()}`);
}

const wait = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });

function tryConnect(path: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once("connect", () => resolve(socket));
    socket.once("error", () => resolve(undefined));
    socket.once("close", () => resolve(undefined));
  });
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.resume();
    socket.once("end", () => socket.destroy());
    socket.once("error", () => resolve());
    socket.once("close", () => resolve());
    if (socket.destroyed) resolve();
  });
}
