/** What keel answers: the result record of docs/protocols.md as values. Pure. */
import { Buffer } from "node:buffer";
import { constants } from "node:os";
import type { MeasuredStep } from "../trace/tracer.ts";
import type { Operation } from "./plan.ts";

const STEP_BYTES = 16;
const OUTPUT_HEAD_BYTES = 8;
const errnoNames = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));

/** "EPERM" of 1; "errno 999" of what this platform does not name. */
export const errnoName = (errno: number): string => errnoNames.get(errno) ?? `errno ${errno}`;

/** keel's measurements, one per executed operation in order. `failedIndex`: the one whose errno was not tolerated. */
export function measuredSteps(
  operations: readonly Operation[],
  bytes: Buffer,
  failedIndex: number | undefined,
): MeasuredStep[] {
  const count = Math.min(operations.length, Math.floor(bytes.length / STEP_BYTES));
  return Array.from({ length: count }, (_, i) => {
    const { name, subject, cause } = operations[i]!;
    const errno = bytes.readInt32LE(i * STEP_BYTES + 12);
    const failed = i === failedIndex && errno !== 0;
    const tolerated = errno !== 0 && !failed ? { tolerated: errnoName(errno) } : {};
    return {
      name,
      startNs: bytes.readBigUInt64LE(i * STEP_BYTES),
      durationNs: bytes.readUInt32LE(i * STEP_BYTES + 8),
      attributes: { ...(subject && { subject }), ...(cause && { cause }), ...tolerated },
      ...(failed && { error: errnoName(errno) }),
    };
  });
}

/** Outputs by the operation's index; several outputs of one operation (netlink) are joined. */
export function outputsByIndex(bytes: Buffer): Map<number, Buffer> {
  const parts = new Map<number, Buffer[]>();
  for (let at = 0; at + OUTPUT_HEAD_BYTES <= bytes.length; ) {
    const index = bytes.readUInt32LE(at);
    const length = bytes.readUInt32LE(at + 4);
    const start = at + OUTPUT_HEAD_BYTES;
    parts.set(index, [...(parts.get(index) ?? []), bytes.subarray(start, start + length)]);
    at = start + ((length + 7) & ~7);
  }
  return new Map([...parts].map(([index, list]) => [index, list.length === 1 ? list[0]! : Buffer.concat(list)]));
}

/** A command operation's output: u32 wait status, u32 length of stdout, stdout, stderr. */
export function commandOutput(bytes: Buffer): { waitStatus: number; stdout: Buffer; stderr: Buffer } {
  const split = 8 + bytes.readUInt32LE(4);
  return { waitStatus: bytes.readUInt32LE(0), stdout: bytes.subarray(8, split), stderr: bytes.subarray(split) };
}
