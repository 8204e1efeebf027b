/** keel's measurements of the operations of a plan (docs/protocols.md, `result.steps`) as spans. Pure. */
import { constants } from "node:os";
import type { Operation } from "../../keel/plan.ts";
import type { MeasuredStep } from "../../trace/tracer.ts";

const STEP_BYTES = 16;
const errnoNames = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));

export function stepsOf(operations: readonly Operation[], steps: Buffer): MeasuredStep[] {
  const count = Math.min(operations.length, Math.floor(steps.length / STEP_BYTES));
  return Array.from({ length: count }, (_, i) => {
    const { name, subject, cause } = operations[i]!;
    const errno = steps.readInt32LE(i * STEP_BYTES + 12);
    const tolerated = errno === 0 ? {} : { tolerated: errnoNames.get(Math.abs(errno)) ?? errno };
    return {
      name,
      startNs: steps.readBigUInt64LE(i * STEP_BYTES),
      durationNs: steps.readUInt32LE(i * STEP_BYTES + 8),
      attributes: { ...(subject && { subject }), ...(cause && { cause }), ...tolerated },
    };
  });
}
