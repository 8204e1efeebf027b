/** `linux.seccomp` -> a classic BPF program (seccomp(2)). Pure; results are kept by the policy's content. */
import {
  nativeArchitecture,
  type SeccompAction,
  type SeccompPolicy,
  type SeccompRule,
} from "../../oci/seccomp-profile.ts";
import { HullError } from "../../platform/errors.ts";
import { type Architecture, architecture, isArchitectureName, X32_BIT } from "./architectures.ts";
import { type ConditionalRule, conditionalBody } from "./arguments.ts";
import {
  ARCH_OFFSET,
  answer,
  branch,
  encodeProgram,
  type Instruction,
  JUMP_EQUAL,
  JUMP_GREATER_EQUAL,
  load,
  MOST_INSTRUCTIONS,
  NUMBER_OFFSET,
  type Range,
  searchTree,
} from "./bpf.ts";

export interface SeccompProgram {
  /** struct sock_filter records. */
  readonly program: Uint8Array;
  /** SECCOMP_FILTER_FLAG_* */
  readonly flags: number;
}

/** SECCOMP_RET_* of linux/seccomp.h. */
const returns: Readonly<Record<SeccompAction, number>> = {
  SCMP_ACT_KILL: 0,
  SCMP_ACT_KILL_THREAD: 0,
  SCMP_ACT_KILL_PROCESS: 0x80000000,
  SCMP_ACT_TRAP: 0x00030000,
  SCMP_ACT_ERRNO: 0x00050000,
  SCMP_ACT_TRACE: 0x7ff00000,
  SCMP_ACT_NOTIFY: 0x7fc00000,
  SCMP_ACT_LOG: 0x7ffc0000,
  SCMP_ACT_ALLOW: 0x7fff0000,
};
const EPERM = 1;
const ENOSYS = 38;

export function returnValue(action: SeccompAction, errnoRet: number | undefined): number {
  const takesData = action === "SCMP_ACT_ERRNO" || action === "SCMP_ACT_TRACE";
  return takesData ? returns[action] | ((errnoRet ?? EPERM) & 0xffff) : returns[action];
}

const filterFlags: Readonly<Record<string, number>> = {
  SECCOMP_FILTER_FLAG_TSYNC: 0, // one thread only: nothing to synchronise
  SECCOMP_FILTER_FLAG_LOG: 2,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW: 4,
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: 32,
};

/** libseccomp takes arguments that repeat an index for alternatives, as runc does. */
function alternatives(rule: SeccompRule, action: number): ConditionalRule[] {
  const indices = new Set(rule.args.map(({ index }) => index));
  if (indices.size === rule.args.length) return [{ arguments: rule.args, action }];
  return rule.args.map((argument) => ({ arguments: [argument], action }));
}

interface Decision {
  conditional: ConditionalRule[];
  unconditional: number | undefined;
}

/** What the policy says of each number of an architecture, without the architecture's base. */
function decisions(policy: SeccompPolicy, arch: Architecture): Map<number, Decision> {
  const found = new Map<number, Decision>();
  for (const rule of policy.syscalls) {
    const action = returnValue(rule.action, rule.errnoRet);
    for (const name of rule.names) {
      const number = arch.numbers.get(name);
      if (number === undefined) continue;
      const decision = found.get(number) ?? { conditional: [], unconditional: undefined };
      if (rule.args.length === 0) decision.unconditional ??= action;
      else decision.conditional.push(...alternatives(rule, action));
      found.set(number, decision);
    }
  }
  return found;
}

/** A program that knows a call to be unknown must hear that, not that it is forbidden: C libraries try newer calls and fall back on ENOSYS only. */
function answersUnknown(policy: SeccompPolicy): boolean {
  return !["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE", "SCMP_ACT_NOTIFY"].includes(policy.defaultAction);
}

function ranges(policy: SeccompPolicy, arch: Architecture): Range[] {
  const otherwise = returnValue(policy.defaultAction, policy.defaultErrnoRet);
  const found = decisions(policy, arch);
  const numbers = [...found.keys()].sort((a, b) => a - b);
  const list: (Range & { readonly action?: number })[] = [];
  const add = (from: number, action: number): void => {
    // Neighbours with one answer are one range.
    if (list.at(-1)?.action !== action) list.push({ from, action, body: [answer(action)] });
  };
  let next = 0;
  for (const number of numbers) {
    if (number > next) add(next, otherwise);
    const { conditional, unconditional } = found.get(number)!;
    const fallback = unconditional ?? otherwise;
    if (conditional.every(({ action }) => action === fallback)) add(number, fallback);
    else list.push({ from: number, body: conditionalBody(conditional, fallback) });
    next = number + 1;
  }
  add(next, answersUnknown(policy) && numbers.length > 0 ? returnValue("SCMP_ACT_ERRNO", ENOSYS) : otherwise);
  return list;
}

/** A foreign calling convention would reach other calls by the same numbers. */
const foreign = answer(returns.SCMP_ACT_KILL_PROCESS);

function archBody(policy: SeccompPolicy, group: readonly Architecture[]): Instruction[] {
  const shifted = (arch: Architecture): Range[] =>
    ranges(policy, arch).map((range) => ({ ...range, from: range.from + arch.base }));
  const main = group.find(({ base }) => base === 0);
  const x32 = group.find(({ base }) => base === X32_BIT);
  const native = main ? searchTree(shifted(main)) : [foreign];
  if (main?.name !== "SCMP_ARCH_X86_64" && !x32) return [load(NUMBER_OFFSET), ...native];
  const upper = x32 ? searchTree(shifted(x32)) : [foreign];
  return [load(NUMBER_OFFSET), ...branch(JUMP_GREATER_EQUAL, X32_BIT, native), ...upper];
}

function architectures(policy: SeccompPolicy, arch: string): Architecture[] {
  const wrong = policy.architectures.find((name) => !isArchitectureName(name));
  if (wrong !== undefined) throw new HullError("invalid-argument", `seccomp: invalid architecture: ${wrong}`);
  const native = nativeArchitecture[arch];
  if (native === undefined) throw new HullError("unimplemented", `seccomp: no system call table for ${arch}`);
  return [...new Set([native, ...policy.architectures])].flatMap((name) => architecture(name) ?? []);
}

/** The program itself: the architecture first, then a tree over the numbers. */
export function seccompInstructions(policy: SeccompPolicy, arch: string): Instruction[] {
  const groups = Map.groupBy(architectures(policy, arch), ({ audit }) => audit);
  let program: Instruction[] = [foreign];
  for (const [audit, group] of [...groups].reverse()) {
    // Equal: over what the other architectures are, to this one's body.
    program = [...branch(JUMP_EQUAL, audit, program), ...archBody(policy, group)];
  }
  return [load(ARCH_OFFSET), ...program];
}

function compile(policy: SeccompPolicy, arch: string): SeccompProgram {
  const program = seccompInstructions(policy, arch);
  if (program.length > MOST_INSTRUCTIONS)
    throw new HullError(
      "invalid-argument",
      `seccomp: the profile needs ${program.length} instructions, ${MOST_INSTRUCTIONS} fit`,
    );
  const flags = policy.flags.reduce((bits, name) => {
    if (filterFlags[name] === undefined) throw new HullError("invalid-argument", `seccomp: unknown flag ${name}`);
    return bits | filterFlags[name];
  }, 0);
  return { program: encodeProgram(program), flags };
}

const MOST_KEPT = 32;
const kept = new Map<string, SeccompProgram>();

/** `arch`: Go's name of the machine's architecture. Throws `invalid-argument`. */
export function compileSeccomp(policy: SeccompPolicy, arch: string): SeccompProgram {
  const last = latest.get(policy);
  if (last?.arch === arch) return last.program;
  const program = compileByContent(policy, arch);
  latest.set(policy, { arch, program });
  return program;
}

/** Who compiles the same object again has its program at once. */
const latest = new WeakMap<SeccompPolicy, { readonly arch: string; readonly program: SeccompProgram }>();

function compileByContent(policy: SeccompPolicy, arch: string): SeccompProgram {
  const key = `${arch} ${JSON.stringify(policy, (_, value) => (typeof value === "bigint" ? value.toString() : value))}`;
  const found = kept.get(key);
  if (found) return found;
  const made = compile(policy, arch);
  if (kept.size >= MOST_KEPT) kept.delete(kept.keys().next().value!);
  kept.set(key, made);
  return made;
}
