/** What the stores need of keel: one plan, executed off this process's loop. */
import type { Operation } from "../keel/plan.ts";
import type { SpanContext } from "../trace/context.ts";

export interface PlanOptions {
  /** Abort kills the plan's child; what it did so far stays done. */
  readonly signal?: AbortSignal | undefined;
  /** The operations become children of this span. */
  readonly parent?: SpanContext | undefined;
}

export interface PlanOutcome {
  /** Output of the i-th operation, for those that have one. */
  readonly outputs: ReadonlyMap<number, Buffer>;
}

export interface Kernel {
  /** Throws HullError naming the failing operation and its cause. */
  run(plan: readonly Operation[], options?: PlanOptions): Promise<PlanOutcome>;
}
