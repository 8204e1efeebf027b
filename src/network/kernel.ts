/** What netd asks of keel, narrow so that tests can stand in. */
import type { Operation } from "../keel/plan.ts";

export interface PlanOutcome {
  /** Outputs by the operation's index. */
  readonly outputs: ReadonlyMap<number, Buffer>;
}

export interface DnsQuestion {
  readonly relayId: number;
  readonly isTcp: boolean;
  readonly connection: number;
  /** Where the question came from, to be handed back with the answer. */
  readonly address: string;
  readonly payload: Buffer;
}

/** Lifecycle: as keel's coprocess; after it was restarted, `onRestart` says that relays and watches are to be asked for again. */
export interface Kernel {
  /** Throws what keel says, as a sentence. */
  run(plan: readonly Operation[]): Promise<PlanOutcome>;
  relay(relayId: number, pauseSocket: string): Promise<void>;
  unrelay(relayId: number): Promise<void>;
  answer(question: DnsQuestion, payload: Uint8Array): void;
  watch(watchId: number, protocol: number, groups: number): Promise<void>;
  startPorts(socketPath: string): Promise<void>;
}

export interface KernelEvents {
  question(question: DnsQuestion): void;
  /** Raw netlink messages; empty: some were lost. */
  netlink(watchId: number, messages: Buffer): void;
  restarted(): void;
}
