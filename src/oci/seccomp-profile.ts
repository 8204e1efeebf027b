/**
 * Seccomp profiles: `linux.seccomp` of the runtime-spec, and Docker's superset of it with `archMap`, `includes` and `excludes`. The names are
 * those of libseccomp (seccomp_rule_add(3)).
 */
import {
  filledText,
  list,
  oneOf,
  optional,
  orElse,
  parseDocument,
  type Read,
  shape,
  text,
  u32,
  u64,
  whole,
} from "./json-shape.ts";

const action = oneOf(
  "SCMP_ACT_KILL",
  "SCMP_ACT_KILL_THREAD",
  "SCMP_ACT_KILL_PROCESS",
  "SCMP_ACT_TRAP",
  "SCMP_ACT_ERRNO",
  "SCMP_ACT_TRACE",
  "SCMP_ACT_LOG",
  "SCMP_ACT_ALLOW",
  "SCMP_ACT_NOTIFY",
);

const argument = shape({
  index: whole(0, 5),
  value: u64,
  valueTwo: orElse(u64, 0n),
  op: oneOf(
    "SCMP_CMP_NE",
    "SCMP_CMP_LT",
    "SCMP_CMP_LE",
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_MASKED_EQ",
  ),
});

const rule = { names: list(filledText), action, errnoRet: optional(u32), args: list(argument) };

export const seccompShape = shape({
  defaultAction: action,
  defaultErrnoRet: optional(u32),
  architectures: list(filledText),
  flags: list(filledText),
  listenerPath: orElse(text, ""),
  listenerMetadata: orElse(text, ""),
  syscalls: list(shape(rule)),
});

export type SeccompPolicy = Read<typeof seccompShape>;
export type SeccompAction = Read<typeof action>;
export type SeccompRule = SeccompPolicy["syscalls"][number];
export type SeccompArgument = Read<typeof argument>;

const filter = orElse(shape({ caps: list(text), arches: list(text), minKernel: orElse(text, "") }), {
  caps: [],
  arches: [],
  minKernel: "",
});

const dockerShape = shape({
  defaultAction: action,
  defaultErrnoRet: optional(u32),
  architectures: list(filledText),
  flags: list(filledText),
  listenerPath: orElse(text, ""),
  listenerMetadata: orElse(text, ""),
  archMap: list(shape({ architecture: filledText, subArchitectures: list(filledText) })),
  syscalls: list(shape({ ...rule, name: orElse(text, ""), includes: filter, excludes: filter })),
});

export type DockerProfile = Read<typeof dockerShape>;

/** A profile in Docker's form (an OCI one is one too). Throws `invalid-argument`. */
export const parseDockerProfile = (json: string, document = "seccomp profile"): DockerProfile =>
  parseDocument(json, document, dockerShape);

/** What a profile's conditions are about. `arch` is Go's name: amd64, arm64, ... */
export interface ProfileHost {
  readonly capabilities: readonly string[];
  readonly arch: string;
  readonly kernel: readonly [number, number];
}

type Condition = DockerProfile["syscalls"][number]["includes"];

function kernelAtLeast(host: ProfileHost, least: string): boolean {
  const [major = 0, minor = 0] = least.split(".").map(Number);
  return host.kernel[0] > major || (host.kernel[0] === major && host.kernel[1] >= minor);
}

/** Included when every kind of condition that is named holds; excluded when any does (docs.docker.com/engine/security/seccomp). */
function applies(host: ProfileHost, includes: Condition, excludes: Condition): boolean {
  const has = (cap: string): boolean => host.capabilities.includes(cap);
  if (excludes.arches.includes(host.arch) || excludes.caps.some(has)) return false;
  if (excludes.minKernel !== "" && kernelAtLeast(host, excludes.minKernel)) return false;
  if (includes.arches.length > 0 && !includes.arches.includes(host.arch)) return false;
  if (includes.caps.length > 0 && !includes.caps.every(has)) return false;
  return includes.minKernel === "" || kernelAtLeast(host, includes.minKernel);
}

export const nativeArchitecture: Readonly<Record<string, string>> = {
  amd64: "SCMP_ARCH_X86_64",
  arm64: "SCMP_ARCH_AARCH64",
};

/** Decides the conditions of a Docker profile: what is left is `linux.seccomp`. */
export function resolveProfile(profile: DockerProfile, host: ProfileHost): SeccompPolicy {
  const native = nativeArchitecture[host.arch];
  const mapped = profile.archMap.find(({ architecture }) => architecture === native);
  const syscalls = profile.syscalls
    .filter((one) => applies(host, one.includes, one.excludes))
    .map(({ name, names, action: does, errnoRet, args }) => ({
      names: name === "" ? names : [name, ...names],
      action: does,
      errnoRet,
      args,
    }));
  return {
    defaultAction: profile.defaultAction,
    defaultErrnoRet: profile.defaultErrnoRet,
    architectures: mapped ? [mapped.architecture, ...mapped.subArchitectures] : profile.architectures,
    flags: profile.flags,
    listenerPath: profile.listenerPath,
    listenerMetadata: profile.listenerMetadata,
    syscalls,
  };
}
