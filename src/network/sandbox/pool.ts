/**
 * Ready namespaces: loopback up, one unattached veth pair, bound at `<exec-root>/netns/pool-<hex>`. Making one costs 2 ms,
 * taking one nothing.
 *
 * Lifecycle: `fill` in the background -> `take` (falls back to making one) -> what is left goes with `drain`. Those that an earlier netd left
 * behind are deleted at start by the caller (they are in no record).
 */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { messageOf } from "../../platform/errors.ts";
import type { Log } from "../../platform/log.ts";
import type { Kernel } from "../kernel.ts";
import { DEFAULT_MTU } from "../record.ts";
import { FIRST_INDEX, planNamespace, planUnbind, planVeth } from "./interface-plan.ts";

export const POOL_PREFIX = "pool-";

export interface ReadyNamespace {
  readonly path: string;
  /** The host's end of the pair, in the host's namespace, down. */
  readonly hostInterface: string;
}

export interface PoolOptions {
  readonly kernel: Kernel;
  readonly directory: string;
  readonly size: number;
  /** IFLA_GROUP of what is ours on the host. */
  readonly group: number;
  readonly log: Log;
}

export const newHostInterfaceName = (): string => `veth${randomBytes(4).toString("hex").slice(0, 7)}`;

/** Random: never derived from the address, so that a stale neighbour entry cannot match. */
export const newMac = (): string => localMac(randomBytes(6));

/** Six bytes as a unicast address that is locally administered. */
export function localMac(bytes: Buffer): string {
  const first = (bytes[0]! & 0xfc) | 0x02;
  return Buffer.from([first, ...bytes.subarray(1)])
    .toString("hex")
    .replace(/(..)(?=.)/g, "$1:");
}

export class NamespacePool {
  readonly #ready: ReadyNamespace[] = [];
  /** In the kernel already, or soon. */
  readonly #making = new Set<ReadyNamespace>();
  #filling = false;
  #closed = false;

  constructor(private readonly options: PoolOptions) {}

  get ready(): number {
    return this.#ready.length;
  }

  /** Ready ones and those in the making: whoever looks for what belongs to nobody must know both. */
  get entries(): readonly ReadyNamespace[] {
    return [...this.#ready, ...this.#making];
  }

  async take(): Promise<ReadyNamespace> {
    const found = this.#ready.shift() ?? (await this.#make());
    setTimeout(() => void this.fill(), REFILL_DELAY_MS);
    return found;
  }

  /** Fills it up, one at a time, so that starts do not wait behind it. */
  async fill(): Promise<void> {
    if (this.#filling || this.#closed) return;
    this.#filling = true;
    try {
      while (!this.#closed && this.#ready.length < this.options.size) this.#ready.push(await this.#make());
    } catch (error) {
      this.options.log.warn("cannot make a network namespace ahead", { error: messageOf(error) });
    } finally {
      this.#filling = false;
    }
    if (this.#closed) await this.drain();
  }

  /** Removes what is ready, and takes nothing in any more. */
  async drain(): Promise<void> {
    this.#closed = true;
    const plan = this.#ready.splice(0).flatMap(({ path }) => planUnbind(path));
    if (plan.length > 0) await this.options.kernel.run(plan);
  }

  /** After `drain`: takes up work again. */
  reopen(): void {
    this.#closed = false;
  }

  async #make(): Promise<ReadyNamespace> {
    const { kernel, directory, group } = this.options;
    const path = join(directory, POOL_PREFIX + randomBytes(6).toString("hex"));
    const hostInterface = newHostInterfaceName();
    const pair = {
      name: "eth0",
      index: FIRST_INDEX,
      mac: newMac(),
      mtu: DEFAULT_MTU,
      peerName: hostInterface,
      peerNamespacePid: process.pid,
      peerGroup: group,
    };
    const made = { path, hostInterface };
    this.#making.add(made);
    try {
      await kernel.run([...planNamespace(path), planVeth(pair)]);
    } catch (error) {
      await kernel.run(planUnbind(path)).catch(() => {});
      throw error;
    } finally {
      // Whoever asked for it has it in the same turn of the loop.
      setImmediate(() => this.#making.delete(made));
    }
    return made;
  }
}

const REFILL_DELAY_MS = 20;
