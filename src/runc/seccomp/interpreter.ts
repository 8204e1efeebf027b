/** Runs a classic BPF program as the kernel does for seccomp: for tests. */
import {
  AND,
  type Instruction,
  JUMP,
  JUMP_EQUAL,
  JUMP_GREATER,
  JUMP_GREATER_EQUAL,
  LOAD,
  MOST_INSTRUCTIONS,
  RETURN,
} from "./bpf.ts";

export interface Call {
  readonly arch: number;
  readonly number: number;
  readonly args: readonly bigint[];
}

/** The 32-bit word at an offset of struct seccomp_data. */
function word({ arch, number, args }: Call, offset: number): number {
  if (offset === 0) return number >>> 0;
  if (offset === 4) return arch >>> 0;
  const value = args[(offset - 16) >> 3] ?? 0n;
  return Number((offset & 4) === 0 ? value & 0xffffffffn : value >> 32n);
}

const tests: Readonly<Record<number, (a: number, k: number) => boolean>> = {
  [JUMP_EQUAL]: (a, k) => a === k,
  [JUMP_GREATER]: (a, k) => a > k,
  [JUMP_GREATER_EQUAL]: (a, k) => a >= k,
};

/** What the program answers. Throws where the kernel's checker would have refused it. */
export function interpret(program: readonly Instruction[], call: Call): number {
  let a = 0;
  for (let at = 0; at < Math.min(program.length, MOST_INSTRUCTIONS); at++) {
    const { code, jt, jf, k } = program[at]!;
    const value = k >>> 0;
    if (code === RETURN) return value;
    if (code === LOAD) a = word(call, value);
    else if (code === AND) a = (a & value) >>> 0;
    else if (code === JUMP) at += value;
    else if (tests[code]) at += tests[code](a, value) ? jt : jf;
    else throw new Error(`instruction ${at} has code ${code}`);
  }
  throw new Error("the program has no answer for this call");
}
