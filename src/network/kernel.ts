/** What netd asks of keel (src/keel/serve.ts), narrow so that tests can stand in. */
import type { Operation } from "../keel/plan.ts";
import type { DnsQuestion, RunOptions } from "../keel/serve.ts";

export type { DnsQuestion } from "../keel/serve.ts";

export interface PlanOutcome {
  /** Outputs by the operation's index. */
  readonly outputs: ReadonlyMap<number, Buffer>;
}

/** After a restart of keel relays and watches are to be asked for again. */
export interface Kernel {
  /** Throws what keel says, as a sentence. */
  run(plan: readonly Operation[], options?: RunOptions): Promise<PlanOutcome>;
  relay(relayId: number, pauseSocket: string): Promise<void>;
  unrelay(relayId: number): Promise<void>;
  answer(question: DnsQuestion, payload: Uint8Array): void;
  watch(watchId: number, protocol: number, groups: number): Promise<void>;
  startPorts(socketPath: string): Promise<void>;
}
