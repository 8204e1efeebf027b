/** The system call filter of a container as `linux.seccomp`: Docker's default, a profile of the user's, or none. */
import { release } from "node:os";
import { defaultSeccomp } from "../../../oci/default-seccomp.ts";
import { hostPlatform } from "../../../oci/platform.ts";
import { parseDockerProfile, resolveProfile, type SeccompPolicy } from "../../../oci/seccomp-profile.ts";
import type { SeccompChoice } from "./security.ts";

/** undefined: unconfined. Throws invalid-argument for a malformed profile. */
export function seccompOf(choice: SeccompChoice, capabilities: readonly string[]): object | undefined {
  const arch = hostPlatform().architecture;
  if (choice.kind === "unconfined") return undefined;
  if (choice.kind === "default") return defaultFor(capabilities, arch);
  const profile = parseDockerProfile(choice.json);
  return plain(resolveProfile(profile, { capabilities, arch, kernel: kernelVersion() }));
}

/** The default profile by capabilities: most containers have the same. */
const defaults = new Map<string, object>();
const MOST_DEFAULTS = 32;

function defaultFor(capabilities: readonly string[], arch: string): object {
  const key = capabilities.join(" ");
  const known = defaults.get(key);
  if (known) return known;
  if (defaults.size >= MOST_DEFAULTS) defaults.clear();
  const made = plain(defaultSeccomp(capabilities, arch));
  defaults.set(key, made);
  return made;
}

/** As JSON has it: numbers, and nothing where nothing is said. */
function plain(policy: SeccompPolicy): object {
  const { syscalls, listenerPath, listenerMetadata, defaultErrnoRet, ...rest } = policy;
  return {
    ...rest,
    ...(defaultErrnoRet !== undefined && { defaultErrnoRet }),
    ...(listenerPath !== "" && { listenerPath, listenerMetadata }),
    syscalls: syscalls.map(({ errnoRet, args, ...rule }) => ({
      ...rule,
      ...(errnoRet !== undefined && { errnoRet }),
      ...(args.length > 0 && {
        args: args.map((argument) => ({
          ...argument,
          value: Number(argument.value),
          valueTwo: Number(argument.valueTwo),
        })),
      }),
    })),
  };
}

function kernelVersion(): readonly [number, number] {
  const [major = 0, minor = 0] = release().split(".").map(Number);
  return [major, minor];
}
