/**
 * A daemon of ours that runs only while somebody needs it: started by the first connection, ended by itself or with the engine.
 *
 * Lifecycle: `adopt` (one that a hulld before this one started is kept, when its arguments are right) -> `connect`, any number of times, each
 * starting it where it does not run -> `terminate`. A held connection tells of its end, so that `status` is right.
 */
import { connect, type Socket } from "node:net";
import { HullError, messageOf } from "../../platform/errors.ts";
import type { Log } from "../../platform/log.ts";
import type { RoleName } from "../../platform/paths.ts";
import type { DaemonStatus } from "../hull/status.ts";
import { isAlive, matchesCommand, terminateProcess } from "./process.ts";
import { type SpawnedDaemon, spawnDaemon } from "./spawn.ts";

export interface OnDemandDescription {
  readonly name: RoleName;
  readonly socketPath: string;
  /** Of the role, as they are now. */
  readonly args: () => readonly string[];
  readonly logDirectory: string;
  /** Asks which process answers, on a connection that then stays. Throws unavailable when it is just ending. */
  readonly hold: (socket: Socket) => Promise<number>;
  readonly log: Log;
}

const CONNECT_STEP_MS = 5;
const START_DEADLINE_MS = 60_000;
const END_DEADLINE_MS = 10_000;

export class OnDemandDaemon {
  #pid = 0;
  #held: Socket | undefined;
  #starting: Promise<void> | undefined;
  #child: SpawnedDaemon | undefined;
  #restarts = -1;
  #stopped = false;

  constructor(readonly description: OnDemandDescription) {}

  /** Undefined while none runs. */
  get status(): DaemonStatus | undefined {
    const { name } = this.description;
    if (this.#held) return { name, pid: this.#pid, state: "running", restarts: Math.max(0, this.#restarts) };
    if (this.#starting)
      return { name, pid: this.#child?.pid ?? 0, state: "starting", restarts: Math.max(0, this.#restarts) };
    return undefined;
  }

  /** Takes over one that runs already; one with other arguments is ended: its work is an older engine's. */
  async adopt(): Promise<void> {
    const socket = await dial(this.description.socketPath);
    if (!socket) return;
    await this.#hold(socket);
    const { name, args, log } = this.description;
    if (await matchesCommand(this.#pid, name, args())) return;
    log.info(`${name} runs with other settings: ending it`, { pid: this.#pid });
    await terminateProcess(this.#pid, END_DEADLINE_MS);
  }

  /** A new connection. Throws unavailable, with its last words, when it cannot be started. */
  async connect(): Promise<Socket> {
    for (;;) {
      if (this.#stopped) throw new HullError("unavailable", "the engine is being stopped");
      const socket = await dial(this.description.socketPath);
      if (!socket) await this.#start();
      else {
        if (!this.#held) await this.#holdAnother();
        return socket;
      }
    }
  }

  async terminate(deadlineMs: number): Promise<void> {
    this.#stopped = true;
    const pid = this.#pid || this.#child?.pid || 0;
    if (pid !== 0 && isAlive(pid)) await terminateProcess(pid, deadlineMs);
    this.#held?.destroy();
  }

  /** Those who ask meanwhile wait for the same start. */
  #start(): Promise<void> {
    this.#starting ??= this.#startAnew().finally(() => {
      this.#starting = undefined;
    });
    return this.#starting;
  }

  async #startAnew(): Promise<void> {
    const { name, args, logDirectory, log, socketPath } = this.description;
    const child = spawnDaemon({ name, args: args(), logDirectory });
    this.#child = child;
    const deadline = Date.now() + START_DEADLINE_MS;
    for (;;) {
      const socket = await dial(socketPath);
      if (socket) {
        await this.#hold(socket);
        this.#restarts++;
        log.info(`${name} answers`, { pid: this.#pid });
        return;
      }
      if (child.exitCode() !== undefined)
        throw new HullError("unavailable", `${name} ended while starting: ${child.lastWords()}`);
      if (Date.now() > deadline) {
        if (isAlive(child.pid)) process.kill(child.pid, "SIGKILL");
        throw new HullError(
          "unavailable",
          `${name} did not listen within ${START_DEADLINE_MS / 1000} s: ${child.lastWords()}`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, CONNECT_STEP_MS));
    }
  }

  async #holdAnother(): Promise<void> {
    const socket = await dial(this.description.socketPath);
    if (socket) await this.#hold(socket);
  }

  async #hold(socket: Socket): Promise<void> {
    const { name, hold, log } = this.description;
    try {
      this.#pid = await hold(socket);
    } catch (error) {
      socket.destroy();
      log.warn(`${name}: ${messageOf(error)}`);
      return;
    }
    this.#held?.destroy();
    this.#held = socket;
    socket.once("close", () => {
      if (this.#held !== socket) return;
      this.#held = undefined;
      log.info(`${name} has ended`, { pid: this.#pid });
      this.#pid = 0;
    });
    if (socket.destroyed) this.#held = undefined;
  }
}

function dial(path: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ path, allowHalfOpen: false });
    socket.once("connect", () => resolve(socket));
    socket.once("error", () => resolve(undefined));
    socket.once("close", () => resolve(undefined));
  });
}
