/** What hulld itself has keel do: plans in, the operations' outputs back. */
import type { Operation } from "../keel/plan.ts";
import type { SpanContext } from "../trace/context.ts";

/** Lifecycle: as long as the daemon; a keel that died is replaced, the plan in flight fails with `unavailable`. */
export interface Kernel {
  /** Runs the operations in order. Resolves with the outputs by operation index; throws with the failing operation's cause. */
  run(what: string, operations: readonly Operation[], parent?: SpanContext): Promise<ReadonlyMap<number, Uint8Array>>;
}
