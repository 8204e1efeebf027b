/**
 * The eBPF program that decides about devices on cgroup v2 (BPF_PROG_TYPE_CGROUP_DEVICE; its context is struct bpf_cgroup_dev_ctx:
 * u32 access << 16 | type, u32 major, u32 minor). It returns 1 to allow. Pure.
 */
import { Buffer } from "node:buffer";
import type { DevicePolicy, DeviceRule } from "./device-rules.ts";

interface Instruction {
  readonly code: number;
  readonly to?: number;
  readonly from?: number;
  readonly offset?: number;
  readonly value?: number;
}

/** Opcodes of linux/bpf.h. */
const LOAD_WORD = 0x61;
const SHIFT_RIGHT = 0x74;
const AND = 0x54;
const MOVE_REGISTER = 0xbc;
const MOVE = 0xb7;
const JUMP_IF_NOT_EQUAL = 0x56;
const JUMP_IF_EQUAL = 0x16;
const EXIT = 0x95;

const deviceTypes = { b: 1, c: 2 } as const;
const accessBits: Readonly<Record<string, number>> = { m: 1, r: 2, w: 4 };
const ALL_ACCESS = 7;

const [RESULT, CONTEXT, TYPE, ACCESS, MAJOR, MINOR, SCRATCH] = [0, 1, 2, 3, 4, 5, 6] as const;

const answer = (allow: boolean): Instruction[] => [{ code: MOVE, to: RESULT, value: allow ? 1 : 0 }, { code: EXIT }];

const prologue: readonly Instruction[] = [
  { code: LOAD_WORD, to: TYPE, from: CONTEXT, offset: 0 },
  { code: MOVE_REGISTER, to: ACCESS, from: TYPE },
  { code: SHIFT_RIGHT, to: ACCESS, value: 16 },
  { code: AND, to: TYPE, value: 0xffff },
  { code: LOAD_WORD, to: MAJOR, from: CONTEXT, offset: 4 },
  { code: LOAD_WORD, to: MINOR, from: CONTEXT, offset: 8 },
];

/** An allowing exception must cover all that is asked for; a denying one needs to touch it only. */
function exception(rule: DeviceRule): Instruction[] {
  const bits = [...rule.access].reduce((sum, one) => sum | accessBits[one]!, 0);
  const access: Instruction[] = rule.allow
    ? [
        { code: MOVE_REGISTER, to: SCRATCH, from: ACCESS },
        { code: AND, to: SCRATCH, value: ALL_ACCESS & ~bits },
        { code: JUMP_IF_NOT_EQUAL, to: SCRATCH, value: 0 },
      ]
    : [
        { code: MOVE_REGISTER, to: SCRATCH, from: ACCESS },
        { code: AND, to: SCRATCH, value: bits },
        { code: JUMP_IF_EQUAL, to: SCRATCH, value: 0 },
      ];
  const unless = (to: number, value: number): Instruction[] =>
    value < 0 ? [] : [{ code: JUMP_IF_NOT_EQUAL, to, value }];
  const tests = [
    ...(rule.type === "a" ? [] : unless(TYPE, deviceTypes[rule.type])),
    ...access,
    ...unless(MAJOR, rule.major),
    ...unless(MINOR, rule.minor),
  ];
  const block = [...tests, ...answer(rule.allow)];
  const jumps = new Set([JUMP_IF_EQUAL, JUMP_IF_NOT_EQUAL]);
  return block.map((one, i) => (jumps.has(one.code) ? { ...one, offset: block.length - i - 1 } : one));
}

/** struct bpf_insn records, little endian. */
export function deviceProgram(policy: DevicePolicy): Buffer {
  const list = [...prologue, ...policy.exceptions.flatMap(exception), ...answer(policy.defaultAllow)];
  const out = Buffer.alloc(list.length * 8);
  list.forEach(({ code, to = 0, from = 0, offset = 0, value = 0 }, i) => {
    out.writeUInt8(code, i * 8);
    out.writeUInt8(to | (from << 4), i * 8 + 1);
    out.writeInt16LE(offset, i * 8 + 2);
    out.writeInt32LE(value | 0, i * 8 + 4);
  });
  return out;
}
