/** The process that is to be: limits, user, privileges, directory, program. Pure. */
import { type Operation, operation } from "../../keel/plan.ts";
import { capabilitiesIn, capabilityMask, capabilityNumber } from "../../oci/capabilities.ts";
import type { SpecLinux, SpecProcess } from "../../oci/runtime-spec.ts";
import { HullError } from "../../platform/errors.ts";
import { type HostFacts, hasAppArmor, hasSelinux } from "../host-facts.ts";
import { rlimitNumbers } from "../kernel-constants.ts";
import { compileSeccomp } from "../seccomp/compile.ts";

export interface ProcessContext {
  readonly facts: HostFacts;
  /** What the JSON pointers are relative to: "config.json /process" or "process.json ". */
  readonly at: string;
  readonly linux: SpecLinux;
  readonly warnings: string[];
  /** Pty on /dev/console as well: init only. */
  readonly bindConsole: boolean;
  /** A missing working directory is made: init only. */
  readonly makesDirectory: boolean;
  /** Descriptors above 2 that the program keeps. */
  readonly preservedFds: number;
}

const hasCapability = (facts: HostFacts, name: string): boolean =>
  (facts.capabilities & (1n << BigInt(capabilityNumber(name)!))) !== 0n;

/** Terminal, or a session of its own. */
export function session({ terminal, consoleSize }: SpecProcess, context: ProcessContext): Operation[] {
  const cause = `${context.at}/terminal`;
  if (!terminal) return [operation("setsid", {}, { cause })];
  const { height = 0, width = 0 } = consoleSize ?? {};
  return [operation("console", { rows: height, columns: width, bindConsole: context.bindConsole ? 1 : 0 }, { cause })];
}

/** Without CAP_SYS_RESOURCE a hard limit can't rise: the process gets what there is, and a sentence says so. */
function rlimits({ rlimits: wanted }: SpecProcess, context: ProcessContext): Operation[] {
  const inUserNamespace = context.linux.namespaces.some(({ type }) => type === "user");
  const degrade = hasCapability(context.facts, "CAP_SYS_RESOURCE") && !inUserNamespace ? 0 : 1;
  return wanted.map(({ type, soft, hard }, i) => {
    const resource = rlimitNumbers[type];
    const cause = `${context.at}/rlimits/${i}`;
    if (resource === undefined) throw new HullError("invalid-argument", `${cause}: wrong rlimit value: ${type}`);
    if (soft > hard)
      throw new HullError("invalid-argument", `${cause}: the soft limit of ${type} exceeds the hard limit`);
    return operation("rlimit", { resource, soft, hard, degrade }, { cause, subject: type });
  });
}

function oomScore({ oomScoreAdj }: SpecProcess, context: ProcessContext): Operation[] {
  if (oomScoreAdj === undefined) return [];
  const lowers = !hasCapability(context.facts, "CAP_SYS_RESOURCE");
  if (lowers && oomScoreAdj < 0)
    context.warnings.push(
      "This host can't lower OOM scores (no CAP_SYS_RESOURCE): oomScoreAdj was left out where refused.",
    );
  const tolerate = lowers ? (["EACCES", "EPERM"] as const) : [];
  return [operation("oomScoreAdj", { score: oomScoreAdj }, { cause: `${context.at}/oomScoreAdj`, tolerate })];
}

const policies: Readonly<Record<string, number>> = {
  SCHED_OTHER: 0,
  SCHED_FIFO: 1,
  SCHED_RR: 2,
  SCHED_BATCH: 3,
  SCHED_ISO: 4,
  SCHED_IDLE: 5,
  SCHED_DEADLINE: 6,
};
const schedulerFlags: Readonly<Record<string, number>> = {
  SCHED_FLAG_RESET_ON_FORK: 1,
  SCHED_FLAG_RECLAIM: 2,
  SCHED_FLAG_DL_OVERRUN: 4,
  SCHED_FLAG_KEEP_POLICY: 8,
  SCHED_FLAG_KEEP_PARAMS: 16,
  SCHED_FLAG_UTIL_CLAMP_MIN: 32,
  SCHED_FLAG_UTIL_CLAMP_MAX: 64,
};
const ioClasses = { IOPRIO_CLASS_RT: 1, IOPRIO_CLASS_BE: 2, IOPRIO_CLASS_IDLE: 3 } as const;
const PER_LINUX32 = 8;

function scheduling({ scheduler, ioPriority, execCPUAffinity }: SpecProcess, context: ProcessContext): Operation[] {
  const { at } = context;
  if (execCPUAffinity?.initial || execCPUAffinity?.final)
    throw new HullError("unimplemented", `${at}/execCPUAffinity: is not supported`);
  const list: Operation[] = [];
  if (scheduler) {
    const { policy, flags, ...rest } = scheduler;
    const bits = flags.reduce((sum, name) => {
      if (schedulerFlags[name] === undefined)
        throw new HullError("invalid-argument", `${at}/scheduler/flags: ${name} is unknown`);
      return sum | schedulerFlags[name];
    }, 0);
    list.push(
      operation("scheduler", { policy: policies[policy]!, flags: bits, ...rest }, { cause: `${at}/scheduler` }),
    );
  }
  if (ioPriority) {
    const { class: name, priority } = ioPriority;
    list.push(operation("ioPriority", { class: ioClasses[name], priority }, { cause: `${at}/ioPriority` }));
  }
  if (context.linux.personality?.domain === "LINUX32")
    list.push(operation("personality", { domain: PER_LINUX32 }, { cause: "config.json /linux/personality" }));
  return list;
}

function label({ apparmorProfile, selinuxLabel }: SpecProcess, { facts, at }: ProcessContext): Operation[] {
  const write = (lsm: string, text: string, key: string): Operation =>
    operation("lsmLabel", { lsm, label: text }, { cause: `${at}/${key}`, subject: text });
  if (apparmorProfile !== "" && !hasAppArmor(facts))
    throw new HullError(
      "failed-precondition",
      `${at}/apparmorProfile: apparmor failed to apply profile: AppArmor is not enabled on this host`,
    );
  if (selinuxLabel !== "" && !hasSelinux())
    throw new HullError("failed-precondition", `${at}/selinuxLabel: SELinux is not enabled on this host`);
  return [
    ...(apparmorProfile === "" ? [] : [write("apparmor", `exec ${apparmorProfile}`, "apparmorProfile")]),
    ...(selinuxLabel === "" ? [] : [write("selinux", selinuxLabel, "selinuxLabel")]),
  ];
}

const DEFAULT_UMASK = 0o022;

/** By number, or by name inside the container. Privileged capabilities outlive the change until `capabilities`. */
function user({ user: who }: SpecProcess, { at }: ProcessContext): Operation[] {
  const umask = who.umask ?? DEFAULT_UMASK;
  const cause = `${at}/user`;
  if (who.username !== undefined) {
    const fields = {
      umask,
      user: who.username,
      extraGroups: [...who.additionalGroups, ...who.additionalGids.map(String)],
    };
    return [operation("setUserByName", fields, { cause, subject: who.username || "root" })];
  }
  const groups = new Uint8Array(new Uint32Array(who.additionalGids).buffer);
  const fields = { uid: who.uid, gid: who.gid, umask, keepGroups: 0, groups };
  return [operation("setUser", fields, { cause, subject: `${who.uid}:${who.gid}` })];
}

function capabilities({ capabilities: sets }: SpecProcess, context: ProcessContext): Operation[] {
  if (!sets) return [];
  const { facts, at, warnings } = context;
  const mask = (names: readonly string[]): bigint => capabilityMask(names).mask;
  const unknown = new Set(Object.values(sets).flatMap((names) => capabilityMask(names).unknown));
  if (unknown.size > 0) warnings.push(`Capabilities that are unknown were left out: ${[...unknown].join(", ")}.`);
  const lacking = capabilitiesIn(mask(sets.bounding) & ~facts.capabilities);
  if (lacking.length > 0)
    warnings.push(`This host lacks capabilities, so the container gets them neither: ${lacking.join(", ")}.`);
  return [
    operation(
      "capabilities",
      {
        bounding: mask(sets.bounding),
        effective: mask(sets.effective),
        inheritable: mask(sets.inheritable),
        permitted: mask(sets.permitted),
        ambient: mask(sets.ambient),
      },
      { cause: `${at}/capabilities` },
    ),
  ];
}

function seccomp({ linux, facts }: ProcessContext): Operation[] {
  if (!linux.seccomp) return [];
  const { program, flags } = compileSeccomp(linux.seccomp, facts.arch);
  const { listenerPath, listenerMetadata } = linux.seccomp;
  return [
    operation("seccomp", { flags, program, listenerPath, listenerMetadata }, { cause: "config.json /linux/seccomp" }),
  ];
}

export interface ProcessSteps {
  /** Ends in the check that the program is there. */
  readonly prepare: readonly Operation[];
  /** After the start was given. */
  readonly run: readonly Operation[];
}

/**
 * The order matters: labels and scores need privileges; descriptors close before a directory is entered (CVE-2024-21626); loading a filter
 * without no_new_privs needs CAP_SYS_ADMIN, so it comes before the user changes; with it, it comes last.
 */
export function processSteps(process: SpecProcess, context: ProcessContext): ProcessSteps {
  const { at } = context;
  const { args, env, noNewPrivileges } = process;
  const filter = seccomp(context);
  const privileges = noNewPrivileges ? [operation("noNewPrivileges", {}, { cause: `${at}/noNewPrivileges` })] : [];
  return {
    prepare: [
      ...oomScore(process, context),
      ...scheduling(process, context),
      ...label(process, context),
      operation("closeRange", { first: 3 + context.preservedFds }, { cause: "no descriptor of ours" }),
      operation("cwd", { create: context.makesDirectory ? 1 : 0, path: process.cwd }, { cause: `${at}/cwd` }),
      ...rlimits(process, context),
      ...privileges,
      ...(noNewPrivileges ? [] : filter),
      ...user(process, context),
      ...capabilities(process, context),
      operation("lookPath", { argv0: args[0]!, envp: env }, { cause: `${at}/args/0`, subject: args[0]! }),
    ],
    run: [
      ...(noNewPrivileges ? filter : []),
      operation("execve", { argv: args, envp: env }, { cause: `${at}/args`, subject: args[0]! }),
    ],
  };
}
