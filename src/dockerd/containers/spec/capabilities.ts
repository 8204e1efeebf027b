/** Capabilities of a container: Docker's default set, --cap-add and --cap-drop. Pure. */
import { invalid } from "../create/refusal.ts";

/** capabilities(7), in the kernel's order. */
const all = (
  "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST " +
  "NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE " +
  "SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM " +
  "BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
)
  .split(" ")
  .map((name) => `CAP_${name}`);

const standard = (
  "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE"
)
  .split(" ")
  .map((name) => `CAP_${name}`);

export interface CapabilityWishes {
  readonly CapAdd: readonly string[] | null;
  readonly CapDrop: readonly string[] | null;
  readonly Privileged: boolean;
}

/** Throws invalid-argument for unknown names. */
export function capabilitiesOf({ CapAdd, CapDrop, Privileged }: CapabilityWishes): string[] {
  const added = CapAdd ?? [];
  const dropped = CapDrop ?? [];
  for (const name of [...added, ...dropped]) if (name !== "ALL" && !all.includes(name)) throw invalid(`invalid capability: "${name}"`);
  if (Privileged) return all;
  const base = added.includes("ALL") ? all : dropped.includes("ALL") ? [] : standard;
  const kept = added.includes("ALL") || !dropped.includes("ALL") ? base.filter((name) => !dropped.includes(name)) : base;
  return [...kept, ...added.filter((name) => name !== "ALL" && !kept.includes(name))];
}
