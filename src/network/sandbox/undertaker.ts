/**
 * Deletes namespaces and interfaces after the answer and in batches: the kernel waits 25 to 30 ms for one interface or for thirty.
 * First the host's ends go down, so that a dying namespace answers nobody any more.
 */
import { again } from "../../keel/again.ts";
import { type Operation, operation } from "../../keel/plan.ts";
import { messageOf } from "../../platform/errors.ts";
import type { Log } from "../../platform/log.ts";
import type { Kernel } from "../kernel.ts";
import { changeLink, deleteLinkGroup } from "../netlink/link.ts";
import { encodeMessages, type MessageInput, NETLINK_ROUTE } from "../netlink/message.ts";
import { planUnbind } from "./interface-plan.ts";

export interface Remains {
  readonly namespaces?: readonly string[];
  readonly interfaces?: readonly string[];
}

const GATHER_MS = 20;

const tolerant = (messages: readonly MessageInput[]): Operation =>
  operation(
    "netlink",
    { protocol: NETLINK_ROUTE, messages: encodeMessages(messages) },
    { tolerate: ["ENODEV", "EINVAL"], cause: "interfaces that are not needed any more" },
  );

export class Undertaker {
  #waiting: { readonly remains: Remains; readonly done: () => void }[] = [];
  #working: Promise<void> = Promise.resolve();
  #scheduled: Promise<void> | undefined;
  readonly #pending = new Set<string>();

  constructor(
    private readonly kernel: Kernel,
    /** IFLA_GROUP of interfaces that are to be deleted. */
    private readonly group: number,
    private readonly log: Log,
  ) {}

  take(remains: Remains, done: () => void = () => {}): void {
    this.#waiting.push({ remains, done });
    for (const path of remains.namespaces ?? []) this.#pending.add(path);
    this.#schedule();
  }

  /** The path can be used for another namespace. */
  async settled(path: string): Promise<void> {
    if (this.#pending.has(path)) await this.idle();
  }

  /** Everything taken so far is gone. */
  async idle(): Promise<void> {
    while (this.#scheduled || this.#pending.size > 0) await (this.#scheduled ?? this.#working);
    await this.#working;
  }

  /** These interfaces, now. */
  async remove(interfaces: readonly string[]): Promise<void> {
    await this.#bury({ interfaces });
  }

  #schedule(): void {
    this.#scheduled ??= new Promise<void>((resolve) => setTimeout(resolve, GATHER_MS)).then(() => {
      this.#scheduled = undefined;
      this.#working = this.#working.then(() => this.#work());
      return this.#working;
    });
  }

  async #work(): Promise<void> {
    const batch = this.#waiting.splice(0);
    const namespaces = batch.flatMap(({ remains }) => remains.namespaces ?? []);
    const interfaces = batch.flatMap(({ remains }) => remains.interfaces ?? []);
    try {
      await this.#bury({ namespaces, interfaces });
      for (const { done } of batch) done();
    } catch (error) {
      // What is left is in the records still: the next start of netd tries again.
      this.log.warn("clean-up of namespaces", { error: messageOf(error) });
    } finally {
      for (const path of namespaces) this.#pending.delete(path);
    }
  }

  async #bury(remains: Remains): Promise<void> {
    const interfaces = remains.interfaces ?? [];
    const doom = interfaces.map((name) => tolerant([changeLink({ name }, { up: false, group: this.group })]));
    const unbind = (remains.namespaces ?? []).flatMap(planUnbind);
    const plan = [...doom, ...unbind, ...(interfaces.length > 0 ? [tolerant([deleteLinkGroup(this.group)])] : [])];
    if (plan.length > 0) await again(() => this.kernel.run(plan));
  }
}
