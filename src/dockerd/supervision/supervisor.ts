/**
 * hull-containerd and hull-netd as hulld sees them: both kept running, their state remembered for info and status, the rest of
 * the engine told when one has come (back). And hull-buildkitd, which runs while there is something to build.
 */
import type { Socket } from "node:net";
import { join } from "node:path";
import { BUILDKITD_SOCKET } from "../../buildkit/api.ts";
import { ask, hold, jsonOf } from "../../buildkit/client.ts";
import { type ContainerdClient, call, decodeEvent } from "../../containerd/client.ts";
import { NETD_SOCKET, REFUSED_EXIT } from "../../network/api.ts";
import type { NetdClient } from "../../network/client.ts";
import { messageOf } from "../../platform/errors.ts";
import type { Log } from "../../platform/log.ts";
import type { DaemonConfig } from "../config.ts";
import type { DaemonStatus } from "../hull/status.ts";
import { SupervisedDaemon } from "./daemon.ts";
import { buildkitdArgs, containerdArgs, netdArgs } from "./daemon-args.ts";
import { OnDemandDaemon } from "./on-demand.ts";

export interface SupervisorParts {
  /** As it is now. */
  readonly config: () => DaemonConfig;
  readonly inDockersPlace: boolean;
  readonly containerd: ContainerdClient;
  readonly netd: NetdClient;
  readonly log: Log;
  /** hull-containerd answers: after start and after each return. */
  readonly onContainerd: () => Promise<void>;
  readonly onNetd: () => Promise<void>;
  /** Its images have changed. */
  readonly onImageEvent: () => void;
  readonly onNetworkEvent: () => void;
  /** A daemon cannot do what the command line asks: the engine cannot start. */
  readonly onRefused: (why: string) => void;
}

export interface StorageFacts {
  readonly driver: string;
  readonly backingFilesystem: string;
}

const ASK_MS = 5_000;
const STOP_MS = 10_000;

/** Lifecycle: `start` -> (forever) -> `shutDown`. */
export class Supervisor {
  storage: StorageFacts;
  firewallDriver = "";
  readonly #degraded = new Map<string, readonly string[]>();
  readonly #containerd: SupervisedDaemon;
  readonly #netd: SupervisedDaemon;
  readonly #buildkitd: OnDemandDaemon;
  readonly #ended = new AbortController();

  constructor(private readonly parts: SupervisorParts) {
    const { containerd, netd, log } = parts;
    const config = parts.config();
    this.storage = { driver: config.storageDriver || "overlay2", backingFilesystem: "" };
    const logDirectory = join(config.dataRoot, "logs");
    this.#containerd = new SupervisedDaemon({
      name: "hull-containerd",
      socketPath: containerdSocket(config),
      args: containerdArgs(config),
      logDirectory,
      log,
      askPid: async () => (await containerd.daemon.status({}, call({ timeoutMs: ASK_MS }))).pid,
      onUp: () => this.#inBackground("hull-containerd", this.#containerdUp()),
    });
    this.#netd = new SupervisedDaemon({
      name: "hull-netd",
      socketPath: join(config.execRoot, NETD_SOCKET),
      args: netdArgs(config, parts.inDockersPlace),
      logDirectory,
      log,
      askPid: async () => (await netd.call("ping", {}, { signal: AbortSignal.timeout(ASK_MS), retryForMs: 0 })).pid,
      onUp: () => this.#inBackground("hull-netd", this.#netdUp()),
      refusedExit: REFUSED_EXIT,
      onRefused: parts.onRefused,
    });
    this.#buildkitd = new OnDemandDaemon({
      name: "hull-buildkitd",
      socketPath: join(config.execRoot, BUILDKITD_SOCKET),
      args: () => buildkitdArgs(parts.config()),
      logDirectory,
      hold,
      log,
    });
  }

  start(): void {
    this.#containerd.start();
    this.#netd.start();
    this.#inBackground("hull-buildkitd", this.#buildkitd.adopt());
  }

  /** A new connection to hull-buildkitd, which is started where it does not run. */
  builder(): Promise<Socket> {
    return this.#buildkitd.connect();
  }

  /** One that runs is told what may change while it does; what cannot be told is logged. */
  configureBuilder(): void {
    if (this.isBuilderThere) this.#inBackground("hull-buildkitd", this.#configureBuilder());
  }

  async #configureBuilder(): Promise<void> {
    const { maxConcurrentBuilds: builds, builderEntitlements } = this.parts.config();
    const query = new URLSearchParams({ builds: String(builds), entitlements: builderEntitlements.join(",") });
    using connection = await ask(await this.builder(), { kind: "configure", query: query.toString() });
    await jsonOf(connection);
  }

  get isBuilderThere(): boolean {
    return this.#buildkitd.status !== undefined;
  }

  daemons(): readonly DaemonStatus[] {
    const kept = [this.#containerd, this.#netd].map(({ description, pid, state, restarts }) => ({
      name: description.name,
      pid,
      state,
      restarts,
    }));
    const { status } = this.#buildkitd;
    return status ? [...kept, status] : kept;
  }

  /** Sentences about what this host lacks. */
  degraded(): readonly string[] {
    return [...this.#degraded.values()].flat();
  }

  /** hull-buildkitd and hull-containerd always end; hull-netd only when nothing is left that needs it. */
  async shutDown(): Promise<void> {
    this.#ended.abort();
    // Before hull-containerd: what it cancels gives its snapshots back.
    await this.#buildkitd.terminate(STOP_MS);
    const ending = this.#containerd.terminate(STOP_MS);
    const { done } = await this.#standDown();
    if (done) await this.#netd.terminate(STOP_MS);
    else this.#netd.stop();
    await ending;
  }

  async #standDown(): Promise<{ readonly done: boolean }> {
    const retryForMs = this.#netd.isStarting ? ASK_MS : 0;
    try {
      return await this.parts.netd.call("standDown", {}, { signal: AbortSignal.timeout(ASK_MS), retryForMs });
    } catch (error) {
      this.parts.log.warn(`hull-netd: ${messageOf(error)}`);
      return { done: false };
    }
  }

  #inBackground(name: string, work: Promise<void>): void {
    work.catch((error) => {
      if (!this.#ended.signal.aborted) this.parts.log.error(`${name}: ${messageOf(error)}`);
    });
  }

  async #containerdUp(): Promise<void> {
    const status = await this.parts.containerd.daemon.status({}, call({ timeoutMs: ASK_MS }));
    this.storage = { driver: status.storageDriver, backingFilesystem: status.backingFilesystem };
    this.#degraded.set("hull-containerd", status.degraded);
    this.#inBackground("events of hull-containerd", this.#followImages());
    await this.parts.onContainerd();
  }

  async #netdUp(): Promise<void> {
    const status = await this.parts.netd.call("status", {});
    this.firewallDriver = status.firewallBackend;
    this.#degraded.set("hull-netd", status.degraded);
    this.#inBackground("events of hull-netd", this.#followNetworks());
    await this.parts.onNetd();
  }

  /** Ends with the daemon's life; the next one is followed anew. */
  async #followImages(): Promise<void> {
    const filters = ["topic~=/images/"];
    const { signal } = this.#ended;
    for await (const envelope of this.parts.containerd.events.subscribe({ filters }, call({ signal }))) {
      if (decodeEvent(envelope)) this.parts.onImageEvent();
    }
  }

  async #followNetworks(): Promise<void> {
    for await (const event of this.parts.netd.stream("events", {}, { signal: this.#ended.signal })) {
      if (event.kind === "networks") this.parts.onNetworkEvent();
      else this.parts.log.warn(`network ${event.kind}: ${event.what}`);
    }
  }
}

export const containerdSocket = (config: DaemonConfig): string => join(config.execRoot, "containerd/containerd.sock");
