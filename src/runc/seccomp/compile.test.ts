import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { allCapabilities } from "../../oci/capabilities.ts";
import { defaultSeccomp } from "../../oci/default-seccomp.ts";
import { defaultCapabilities } from "../../oci/default-spec.ts";
import {
  parseDockerProfile,
  resolveProfile,
  type SeccompArgument,
  type SeccompPolicy,
} from "../../oci/seccomp-profile.ts";
import { HullError } from "../../platform/errors.ts";
import { architecture, X32_BIT } from "./architectures.ts";
import { MOST_INSTRUCTIONS } from "./bpf.ts";
import { compileSeccomp, returnValue, seccompInstructions } from "./compile.ts";
import { type Call, interpret } from "./interpreter.ts";

const ALLOW = 0x7fff0000;
const EPERM = 0x50001;
const ENOSYS = 0x50026;
const KILL_PROCESS = 0x80000000;

const holds: Readonly<Record<SeccompArgument["op"], (value: bigint, argument: SeccompArgument) => boolean>> = {
  SCMP_CMP_NE: (value, argument) => value !== argument.value,
  SCMP_CMP_LT: (value, argument) => value < argument.value,
  SCMP_CMP_LE: (value, argument) => value <= argument.value,
  SCMP_CMP_EQ: (value, argument) => value === argument.value,
  SCMP_CMP_GE: (value, argument) => value >= argument.value,
  SCMP_CMP_GT: (value, argument) => value > argument.value,
  SCMP_CMP_MASKED_EQ: (value, argument) => (value & argument.value) === argument.valueTwo,
};

/** What a policy says of a call of one architecture, read off its rules. */
function meaning(policy: SeccompPolicy, archName: string, { number, args }: Call): number {
  const arch = architecture(archName)!;
  const plain = number - arch.base;
  const rules = policy.syscalls.filter(({ names }) => names.some((name) => arch.numbers.get(name) === plain));
  const matches = ({ args: wanted }: (typeof rules)[number]): boolean =>
    wanted.every((argument) => holds[argument.op](args[argument.index] ?? 0n, argument));
  const conditional = rules.find((rule) => rule.args.length > 0 && matches(rule));
  const decided = conditional ?? rules.find((rule) => rule.args.length === 0);
  if (decided) return returnValue(decided.action, decided.errnoRet) >>> 0;
  const known = policy.syscalls.flatMap(({ names }) => names.flatMap((name) => arch.numbers.get(name) ?? []));
  if (plain > Math.max(...known)) return ENOSYS;
  return returnValue(policy.defaultAction, policy.defaultErrnoRet) >>> 0;
}

/** The numbers a call is tried with. */
const samples: readonly (readonly bigint[])[] = [
  [0n, 0n],
  [8n, 0n],
  [38n, 0n],
  [39n, 0n],
  [40n, 0n],
  [41n, 0n],
  [0x20000n, 0n],
  [0x20008n, 0n],
  [0xffffffffn, 0n],
  [0x10000000n, 0n], // CLONE_NEWUSER
  [0x11n, 0n], // SIGCHLD
  [0x1_0000_0028n, 0n],
  [0xffffffff_ffffffffn, 0n],
];

const machines = [
  { arch: "amd64", names: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X32", "SCMP_ARCH_X86"] },
  { arch: "arm64", names: ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"] },
];
const bounding: Readonly<Record<string, readonly string[]>> = {
  "Docker's": defaultCapabilities,
  all: allCapabilities,
  no: [],
};

for (const { arch, names } of machines) {
  for (const [title, capabilities] of Object.entries(bounding)) {
    test(`the default profile means the same as its program for every call on ${arch} with ${title} capabilities`, () => {
      const policy = defaultSeccomp(capabilities, arch);
      const program = seccompInstructions(policy, arch);
      assert.ok(program.length < MOST_INSTRUCTIONS);
      for (const name of names) {
        const { audit, base } = architecture(name)!;
        for (let number = base; number < base + 600; number++) {
          for (const args of samples) {
            const call = { arch: audit, number, args };
            assert.equal(interpret(program, call), meaning(policy, name, call), `${name} ${number} (${args})`);
          }
        }
      }
    });
  }
}

const call = (number: number, args: readonly bigint[] = []): Call => ({ arch: 0xc000003e, number, args });

test("the default profile denies what Docker denies and knows what it knows", () => {
  const program = seccompInstructions(defaultSeccomp(defaultCapabilities, "amd64"), "amd64");
  const numbers = architecture("SCMP_ARCH_X86_64")!.numbers;
  const answer = (name: string, ...args: bigint[]): number => interpret(program, call(numbers.get(name)!, args));
  for (const name of ["read", "openat", "execve", "clone", "chroot", "mkdirat", "statx"])
    assert.equal(answer(name), ALLOW, name);
  for (const name of ["mount", "bpf", "keyctl", "init_module", "io_uring_setup", "reboot", "userfaultfd"])
    assert.equal(answer(name), EPERM, name);
  assert.equal(answer("clone", 0x10000000n), EPERM);
  assert.equal(answer("clone3"), ENOSYS);
  assert.equal(answer("socket", 40n), EPERM);
  assert.equal(answer("socket", 38n), EPERM);
  assert.equal(answer("socket", 2n), ALLOW);
  assert.equal(interpret(program, call(2000)), ENOSYS);
  assert.equal(interpret(program, { arch: 0xc00000b7, number: 63, args: [] }), KILL_PROCESS);
});

const operators = Object.keys(holds) as SeccompArgument["op"][];
const value = fc.oneof(
  fc.bigInt({ min: 0n, max: 8n }),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  fc.constant(2n ** 32n),
);
const argument = fc.record({
  index: fc.integer({ min: 0, max: 5 }),
  op: fc.constantFrom(...operators),
  value,
  valueTwo: value,
});
const names = ["read", "write", "open", "close", "mount", "clone", "socket", "landlock_restrict_self"];
const rule = fc.record({
  names: fc.subarray(names, { minLength: 1 }),
  action: fc.constantFrom("SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_LOG", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"),
  errnoRet: fc.option(fc.integer({ min: 1, max: 133 }), { nil: undefined }),
  args: fc.uniqueArray(argument, { maxLength: 3, selector: ({ index }) => index }),
});

test("any policy means the same as its program", () => {
  const policies = fc.array(rule, { minLength: 1, maxLength: 12 });
  const property = fc.property(policies, fc.array(value, { minLength: 6, maxLength: 6 }), (rules, args) => {
    const policy = { ...defaultSeccomp([], "amd64"), architectures: [], syscalls: rules } as SeccompPolicy;
    const program = seccompInstructions(policy, "amd64");
    for (const name of [...names, "getpid"]) {
      const tried = call(architecture("SCMP_ARCH_X86_64")!.numbers.get(name)!, args);
      assert.equal(interpret(program, tried), meaning(policy, "SCMP_ARCH_X86_64", tried));
    }
  });
  fc.assert(property, { numRuns: 300 });
});

test("x32 calls are refused where the policy does not name x32", () => {
  const policy = { ...defaultSeccomp([], "amd64"), architectures: ["SCMP_ARCH_X86_64"] };
  assert.equal(interpret(seccompInstructions(policy, "amd64"), call(X32_BIT)), KILL_PROCESS);
  assert.equal(interpret(seccompInstructions(defaultSeccomp([], "amd64"), "amd64"), call(X32_BIT)), ALLOW);
});

test("arguments that repeat an index are alternatives", () => {
  const equal = (wanted: bigint) => ({ index: 0, op: "SCMP_CMP_EQ" as const, value: wanted, valueTwo: 0n });
  const syscalls = [
    { names: ["read"], action: "SCMP_ACT_ALLOW" as const, errnoRet: undefined, args: [equal(1n), equal(2n)] },
  ];
  const program = seccompInstructions({ ...defaultSeccomp([], "amd64"), syscalls }, "amd64");
  assert.deepEqual(
    [1n, 2n, 3n].map((fd) => interpret(program, call(0, [fd]))),
    [ALLOW, ALLOW, EPERM],
  );
});

test("a profile in Docker's form decides by capability, architecture and kernel", () => {
  const profile = parseDockerProfile(
    JSON.stringify({
      defaultAction: "SCMP_ACT_ERRNO",
      archMap: [{ architecture: "SCMP_ARCH_X86_64", subArchitectures: ["SCMP_ARCH_X86"] }],
      syscalls: [
        { names: ["read"], action: "SCMP_ACT_ALLOW" },
        { name: "write", action: "SCMP_ACT_ALLOW", args: null },
        { names: ["mount"], action: "SCMP_ACT_ALLOW", includes: { caps: ["CAP_SYS_ADMIN"] } },
        { names: ["ptrace"], action: "SCMP_ACT_ALLOW", includes: { minKernel: "4.8" } },
        { names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: 38, excludes: { caps: ["CAP_SYS_ADMIN"] } },
        { names: ["cacheflush"], action: "SCMP_ACT_ALLOW", includes: { arches: ["arm64"] } },
      ],
    }),
  );
  const namesFor = (capabilities: string[], kernel: [number, number]) =>
    resolveProfile(profile, { capabilities, arch: "amd64", kernel }).syscalls.flatMap((one) => one.names);
  assert.deepEqual(namesFor([], [4, 7]), ["read", "write", "clone3"]);
  assert.deepEqual(namesFor(["CAP_SYS_ADMIN"], [6, 1]), ["read", "write", "mount", "ptrace"]);
  const { architectures } = resolveProfile(profile, { capabilities: [], arch: "amd64", kernel: [6, 1] });
  assert.deepEqual(architectures, ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]);
});

test("what is wrong with a profile is said with its place", () => {
  const wrong = (profile: object): string => {
    try {
      parseDockerProfile(JSON.stringify(profile));
    } catch (error) {
      assert.ok(error instanceof HullError && error.code === "invalid-argument");
      return error.message;
    }
    return assert.fail("it was accepted");
  };
  assert.match(
    wrong({ defaultAction: "SCMP_ACT_MAYBE" }),
    /seccomp profile \/defaultAction: "SCMP_ACT_MAYBE" is none of/,
  );
  const syscalls = [{ names: ["read"], action: "SCMP_ACT_ALLOW", args: [{ index: 6, value: 0, op: "SCMP_CMP_EQ" }] }];
  assert.match(
    wrong({ defaultAction: "SCMP_ACT_ERRNO", syscalls }),
    /\/syscalls\/0\/args\/0\/index: is not between 0 and 5/,
  );
});

test("unknown flags and architectures are refused, equal policies compiled once", () => {
  const policy = defaultSeccomp([], "amd64");
  assert.throws(() => compileSeccomp({ ...policy, flags: ["SECCOMP_FILTER_FLAG_X"] }, "amd64"), /unknown flag/);
  assert.throws(() => compileSeccomp({ ...policy, architectures: ["pdp11"] }, "amd64"), /invalid architecture/);
  assert.equal(compileSeccomp(policy, "amd64"), compileSeccomp(defaultSeccomp([], "amd64"), "amd64"));
  assert.equal(compileSeccomp({ ...policy, flags: ["SECCOMP_FILTER_FLAG_LOG"] }, "amd64").flags, 2);
});
