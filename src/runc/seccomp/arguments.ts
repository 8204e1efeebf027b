/** Rules that look at arguments, as BPF: comparisons of 64 bits in two halves. Pure. */
import type { SeccompArgument } from "../../oci/seccomp-profile.ts";
import {
  and,
  answer,
  argumentOffset,
  type Instruction,
  JUMP_EQUAL,
  JUMP_GREATER,
  JUMP_GREATER_EQUAL,
  load,
} from "./bpf.ts";

/** All of `arguments` must hold for `action`. */
export interface ConditionalRule {
  readonly arguments: readonly SeccompArgument[];
  readonly action: number;
}

const high = (value: bigint): number => Number(value >> 32n);
const low = (value: bigint): number => Number(value & 0xffffffffn);

/** A step of a comparison: where to go on each outcome; "next" is the step below. */
type Target = "pass" | "fail" | "next";
interface Step {
  readonly instruction: Instruction;
  readonly yes?: Target;
  readonly no?: Target;
}

const test = (code: number, k: number, yes: Target, no: Target): Step => ({
  instruction: { code, jt: 0, jf: 0, k },
  yes,
  no,
});
const plain = (instruction: Instruction): Step => ({ instruction });

function equality({ index, value, valueTwo }: SeccompArgument, masked: boolean): Step[] {
  const at = argumentOffset(index);
  const wanted = masked ? valueTwo : value;
  const mask = (part: (value: bigint) => number): Step[] => (masked ? [plain(and(part(value)))] : []);
  return [
    plain(load(at.high)),
    ...mask(high),
    test(JUMP_EQUAL, high(wanted), "next", "fail"),
    plain(load(at.low)),
    ...mask(low),
    test(JUMP_EQUAL, low(wanted), "pass", "fail"),
  ];
}

/** Greater (or equal); `negated` gives less or equal (less). */
function order({ index, value }: SeccompArgument, orEqual: boolean, negated: boolean): Step[] {
  const at = argumentOffset(index);
  const [yes, no]: [Target, Target] = negated ? ["fail", "pass"] : ["pass", "fail"];
  return [
    plain(load(at.high)),
    test(JUMP_GREATER, high(value), yes, "next"),
    test(JUMP_EQUAL, high(value), "next", no),
    plain(load(at.low)),
    test(orEqual ? JUMP_GREATER_EQUAL : JUMP_GREATER, low(value), yes, no),
  ];
}

function different(argument: SeccompArgument): Step[] {
  return equality(argument, false).map((step, i, all) => {
    if (step.yes === undefined) return step;
    return i === all.length - 1 ? { ...step, yes: "fail", no: "pass" } : { ...step, no: "pass" };
  });
}

function steps(argument: SeccompArgument): Step[] {
  switch (argument.op) {
    case "SCMP_CMP_EQ":
      return equality(argument, false);
    case "SCMP_CMP_MASKED_EQ":
      return equality(argument, true);
    case "SCMP_CMP_NE":
      return different(argument);
    case "SCMP_CMP_GT":
      return order(argument, false, false);
    case "SCMP_CMP_GE":
      return order(argument, true, false);
    case "SCMP_CMP_LE":
      return order(argument, false, true);
    case "SCMP_CMP_LT":
      return order(argument, true, true);
  }
}

/** The rule's comparisons and its answer; a failed one goes on behind it. */
function ruleCode(rule: ConditionalRule): Instruction[] {
  const blocks = rule.arguments.map(steps);
  const size = blocks.reduce((sum, block) => sum + block.length, 0) + 1;
  let at = 0;
  const code = blocks.flatMap((block) => {
    const end = at + block.length;
    return block.map(({ instruction, yes, no }) => {
      at++;
      const distance = (target: Target): number => (target === "next" ? 0 : (target === "pass" ? end : size) - at);
      return yes === undefined || no === undefined
        ? instruction
        : { ...instruction, jt: distance(yes), jf: distance(no) };
    });
  });
  return [...code, answer(rule.action)];
}

/** The first rule whose arguments match decides; none: `otherwise`. */
export const conditionalBody = (rules: readonly ConditionalRule[], otherwise: number): Instruction[] => [
  ...rules.flatMap(ruleCode),
  answer(otherwise),
];
