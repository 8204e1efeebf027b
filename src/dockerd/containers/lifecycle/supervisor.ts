/** Exits, restart policies and the agreement of records with what runs: what happens to containers without anybody asking. */
import type { ExecInfo } from "../../../containerd/gen/hull/containerd/v1/tasks_pb.ts";
import { messageOf } from "../../../platform/errors.ts";
import { timeNow } from "../../time.ts";
import { type Container, isUnwanted } from "../container.ts";
import type { ContainerDeps } from "../deps.ts";
import { type Decision, reconcile } from "../reconcile.ts";
import { DRIVER } from "../record.ts";
import { isActive } from "../state.ts";
import { observed } from "../tasks.ts";
import { discardTask } from "./discard.ts";
import { containerExited, type ExitActions, type ProcessEnd } from "./exit.ts";
import { removeStopped } from "./remove.ts";
import { startsWithEngine } from "./restart-policy.ts";
import { startOnce } from "./start-once.ts";
import { giveUpRestart } from "./stop.ts";

export interface EndListener {
  /** Its process has ended: its execs too. */
  containerEnded(container: Container): void;
  /** Those that run, as far as is known here. */
  running(container: Container): readonly string[];
  /** What became of them, as hull-containerd has it: an end that came while nobody listened is told now. */
  agree(container: Container, running: readonly string[], observed: readonly ExecInfo[]): void;
}

export class Supervisor implements ExitActions {
  #firstLook = true;

  constructor(
    private readonly deps: ContainerDeps,
    private readonly execs: EndListener,
  ) {}

  exited(id: string, end: ProcessEnd & { readonly pid: number }): void {
    const container = this.deps.registry.byId(id);
    if (!container) return;
    this.#queued(container, "record the end", async () => {
      const { state } = container;
      if (!isActive(state) || state.pid !== end.pid) return; // Of an earlier run, or told twice.
      const oomKilled = end.oomKilled || (await this.#wasOutOfMemory(container));
      await this.#end(container, { ...end, oomKilled });
    });
  }

  outOfMemory(id: string): void {
    const container = this.deps.registry.byId(id);
    if (!container || !isActive(container.state)) return;
    this.deps.events.container(container.record, "oom");
    this.#queued(container, "record a lack of memory", () => container.move({ kind: "outOfMemory" }));
  }

  scheduleRestart(container: Container, delayMs: number): void {
    const timer = setTimeout(() => {
      container.restartTimer = undefined;
      this.#queued(container, "restart by policy", () => this.#restart(container));
    }, delayMs);
    container.restartTimer = {
      cancel: () => {
        clearTimeout(timer);
        container.restartTimer = undefined;
      },
    };
  }

  remove(container: Container): void {
    this.#queued(container, "remove after its end", () => removeStopped(this.deps, container, true));
  }

  /** Looks at every task there is and every record; see reconcile.ts. The first time also starts what starts with the engine. */
  async resync(): Promise<void> {
    const before = new Map(this.deps.registry.list().map((container) => [container, container.state]));
    const execs = new Map([...before.keys()].map((container) => [container, this.execs.running(container)]));
    const tasks = await this.deps.tasks.list();
    const isFirst = this.#firstLook;
    this.#firstLook = false;
    const work = [...before].map(([container, state]) =>
      container.queue.run(async () => {
        // What changed since the list was asked for is newer than the list.
        const isUnchanged = container.state === state;
        const task = isUnchanged ? tasks.get(container.id) : await this.deps.tasks.info(container.id);
        if (task) this.execs.agree(container, execs.get(container) ?? [], task.execs);
        await this.#agree(container, reconcile(container.state, observed(task)));
        if (isFirst) await this.#endBriefPause(container);
        if (isFirst) this.#startWithEngine(container);
      }),
    );
    const results = await Promise.allSettled(work);
    for (const result of results)
      if (result.status === "rejected") this.deps.log.warn(`adopt a container: ${messageOf(result.reason)}`);
    await this.#try("remove containers whose creation was cut short", () => this.#removeUnrecorded());
    if (isFirst) await this.#try("release networks of containers that are gone", () => this.#retainSandboxes());
  }

  async #try(what: string, work: () => Promise<void>): Promise<void> {
    await work().catch((error: unknown) => this.deps.log.warn(`${what}: ${messageOf(error)}`));
  }

  /**
   * Of a create that this engine's earlier process did not live to record, or that could not be undone while hull-containerd was away:
   * nobody can know of it. What is being made now is in the registry from before its first trace. A container of a rehearsal, whose directory is not
   * among ours, may run; one of ours that runs without a record is left to whoever took that away.
   */
  async #removeUnrecorded(): Promise<void> {
    const { registry, store, tasks } = this.deps;
    for (const [id, directory] of await tasks.owned(DRIVER)) {
      if (registry.byId(id) || registry.making.has(id) || store.hasRecord(id)) continue;
      if (directory !== store.directoryOf(id)) {
        await discardTask(this.deps, id);
        await tasks.stopSandbox(id);
      }
      await tasks.removeContainer(id, DRIVER);
    }
  }

  async #agree(container: Container, decision: Decision): Promise<void> {
    switch (decision.kind) {
      case "leave":
        return;
      case "adopt":
        return this.#adopt(container, decision);
      case "exited":
        if (decision.discardsTask) await discardTask(this.deps, container.id);
        await this.#end(container, {
          exitCode: decision.exitCode,
          at: decision.exitedAt ?? timeNow(),
          oomKilled: decision.oomKilled,
        });
        return;
      case "discardTask":
        return discardTask(this.deps, container.id);
      case "restart":
        if (!container.restartTimer) this.scheduleRestart(container, container.restartDelayMs || 100);
        return;
      case "finishRemoval":
        return removeStopped(this.deps, container, true);
    }
  }

  async #adopt(container: Container, decision: Extract<Decision, { kind: "adopt" }>): Promise<void> {
    const { state } = container;
    if (decision.isNew) {
      container.show({
        state: {
          ...state,
          kind: decision.paused ? "paused" : "running",
          pid: decision.pid,
          startedAt: decision.startedAt,
          error: "",
          exitCode: 0,
        },
      });
      await container.settle({ startedBefore: true });
    } else if (decision.paused !== (state.kind === "paused"))
      await container.move({ kind: decision.paused ? "paused" : "resumed" });
    await this.#refreshSandbox(container);
    this.deps.health.start(container);
  }

  /** The engine that paused it for its own sake is gone. */
  async #endBriefPause(container: Container): Promise<void> {
    const { state } = container;
    if (state.kind !== "paused" || !state.briefly) return;
    await this.deps.tasks.resume(container.id);
    await container.move({ kind: "resumed" });
    this.deps.events.container(container.record, "unpause");
  }

  async #refreshSandbox(container: Container): Promise<void> {
    try {
      const sandbox = await this.deps.sandboxes.inspect(container.record);
      container.show({
        sandbox: { id: sandbox.id, key: sandbox.key, ports: sandbox.ports, endpoints: sandbox.endpoints },
      });
    } catch (error) {
      this.deps.log.warn(`ask for the network of ${container.record.name}: ${messageOf(error)}`, {
        container: container.id,
      });
    }
  }

  async #end(container: Container, end: ProcessEnd): Promise<void> {
    await containerExited(this.deps, container, { end, actions: this });
    this.execs.containerEnded(container);
  }

  async #wasOutOfMemory(container: Container): Promise<boolean> {
    if (container.state.oomKilled) return true;
    if (container.record.hostConfig.Memory === 0) return false;
    const info = await this.deps.tasks.info(container.id).catch(() => undefined); // Then only the event counts.
    return info?.exit?.oomKilled ?? false;
  }

  async #restart(container: Container): Promise<void> {
    if (container.state.kind !== "restarting") return;
    if (isUnwanted(container)) return giveUpRestart(this.deps, container);
    await startOnce(this.deps, container, { parent: undefined, byPolicy: true });
  }

  #startWithEngine(container: Container): void {
    const { state, hostConfig, manuallyStopped, startedBefore } = container.record;
    if (state.kind !== "exited" || !startedBefore) return;
    if (hostConfig.AutoRemove) {
      this.remove(container); // The engine ended before it could.
      return;
    }
    if (!startsWithEngine(hostConfig.RestartPolicy, { exitCode: state.exitCode, manuallyStopped })) return;
    this.#queued(container, "start with the engine", async () => {
      if (container.state.kind === "exited" && !container.stopRequested && !container.removalRequested)
        await startOnce(this.deps, container, { parent: undefined, byPolicy: false });
    });
  }

  /** What netd still holds for containers that are gone. */
  async #retainSandboxes(): Promise<void> {
    const { registry, sandboxes } = this.deps;
    const records = registry.list().map((container) => container.record);
    const running = records.filter(({ state }) => isActive(state) || state.kind === "restarting").map(({ id }) => id);
    await sandboxes.retain(running, [...records.map(({ id }) => id), ...registry.making]);
  }

  #queued(container: Container, what: string, work: () => Promise<void>): void {
    container.queue.run(work).catch((error: unknown) => {
      this.deps.log.warn(`${what}: ${messageOf(error)}`, { container: container.id });
    });
  }
}
