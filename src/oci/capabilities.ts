/** Capabilities by name: capabilities(7), in the kernel's order (linux/capability.h). Pure. */

const names = [
  "CHOWN",
  "DAC_OVERRIDE",
  "DAC_READ_SEARCH",
  "FOWNER",
  "FSETID",
  "KILL",
  "SETGID",
  "SETUID",
  "SETPCAP",
  "LINUX_IMMUTABLE",
  "NET_BIND_SERVICE",
  "NET_BROADCAST",
  "NET_ADMIN",
  "NET_RAW",
  "IPC_LOCK",
  "IPC_OWNER",
  "SYS_MODULE",
  "SYS_RAWIO",
  "SYS_CHROOT",
  "SYS_PTRACE",
  "SYS_PACCT",
  "SYS_ADMIN",
  "SYS_BOOT",
  "SYS_NICE",
  "SYS_RESOURCE",
  "SYS_TIME",
  "SYS_TTY_CONFIG",
  "MKNOD",
  "LEASE",
  "AUDIT_WRITE",
  "AUDIT_CONTROL",
  "SETFCAP",
  "MAC_OVERRIDE",
  "MAC_ADMIN",
  "SYSLOG",
  "WAKE_ALARM",
  "BLOCK_SUSPEND",
  "AUDIT_READ",
  "PERFMON",
  "BPF",
  "CHECKPOINT_RESTORE",
] as const;

/** Every capability, "CAP_CHOWN" first: the index is the kernel's number. */
export const allCapabilities: readonly string[] = names.map((name) => `CAP_${name}`);

const numbers = new Map(allCapabilities.map((name, number) => [name, number]));

/** The kernel's number of a name; undefined when there is none such. */
export const capabilityNumber = (name: string): number | undefined => numbers.get(name.toUpperCase());

/** A set as the kernel's bit mask. Unknown names are left out and listed, as the runtime-spec asks (config.md, capabilities). */
export function capabilityMask(set: readonly string[]): { readonly mask: bigint; readonly unknown: readonly string[] } {
  const known = set.map(capabilityNumber);
  const mask = known.reduce<bigint>(
    (bits, number) => (number === undefined ? bits : bits | (1n << BigInt(number))),
    0n,
  );
  return { mask, unknown: set.filter((_, i) => known[i] === undefined) };
}

/** Names in a mask. */
export const capabilitiesIn = (mask: bigint): string[] =>
  allCapabilities.filter((_, number) => (mask & (1n << BigInt(number))) !== 0n);
