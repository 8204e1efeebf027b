/** Classic BPF as seccomp takes it (linux/filter.h): instructions, their bytes, and trees of comparisons. Pure. */
import { Buffer } from "node:buffer";

/** struct sock_filter. Jumps count from the next instruction. */
export interface Instruction {
  readonly code: number;
  readonly jt: number;
  readonly jf: number;
  readonly k: number;
}

export const LOAD = 0x20; // BPF_LD | BPF_W | BPF_ABS
export const JUMP = 0x05; // BPF_JMP | BPF_JA
export const JUMP_EQUAL = 0x15;
export const JUMP_GREATER = 0x25;
export const JUMP_GREATER_EQUAL = 0x35;
export const AND = 0x54;
export const RETURN = 0x06;

/** Offsets in struct seccomp_data (linux/seccomp.h), little endian. */
export const NUMBER_OFFSET = 0;
export const ARCH_OFFSET = 4;
export const argumentOffset = (index: number): { readonly low: number; readonly high: number } => ({
  low: 16 + index * 8,
  high: 20 + index * 8,
});

export const MOST_INSTRUCTIONS = 4096;
const FARTHEST_JUMP = 255;

export const load = (offset: number): Instruction => ({ code: LOAD, jt: 0, jf: 0, k: offset });
export const and = (mask: number): Instruction => ({ code: AND, jt: 0, jf: 0, k: mask });
export const answer = (action: number): Instruction => ({ code: RETURN, jt: 0, jf: 0, k: action });

/** `test` true: over `otherwise` to what follows it; where that is too far for eight bits, by way of a long jump. */
export function branch(code: number, k: number, otherwise: readonly Instruction[]): Instruction[] {
  if (otherwise.length <= FARTHEST_JUMP) return [{ code, jt: otherwise.length, jf: 0, k }, ...otherwise];
  return [{ code, jt: 0, jf: 1, k }, { code: JUMP, jt: 0, jf: 0, k: otherwise.length }, ...otherwise];
}

/** From `from` on (up to the next range) `body` decides; it ends in answers. */
export interface Range {
  readonly from: number;
  readonly body: readonly Instruction[];
}

/** A balanced tree over ranges that are sorted and begin at 0. */
export function searchTree(ranges: readonly Range[]): readonly Instruction[] {
  if (ranges.length === 1) return ranges[0]!.body;
  const middle = ranges.length >> 1;
  const left = searchTree(ranges.slice(0, middle));
  return [...branch(JUMP_GREATER_EQUAL, ranges[middle]!.from, left), ...searchTree(ranges.slice(middle))];
}

export function encodeProgram(program: readonly Instruction[]): Buffer {
  const out = Buffer.alloc(program.length * 8);
  program.forEach(({ code, jt, jf, k }, i) => {
    out.writeUInt16LE(code, i * 8);
    out.writeUInt8(jt, i * 8 + 2);
    out.writeUInt8(jf, i * 8 + 3);
    out.writeUInt32LE(k >>> 0, i * 8 + 4);
  });
  return out;
}
