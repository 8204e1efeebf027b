/** Capabilities by name (capabilities(7), linux/capability.h): a name's place in the list is its number. */
export const capabilityNames = (
  "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST " +
  "NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE " +
  "SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM " +
  "BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
)
  .split(" ")
  .map((name) => `CAP_${name}`);

/** Names as a 64 bit mask. Unknown names are skipped: runtime-spec says they may be. */
export function capabilityMask(names: readonly string[] = []): bigint {
  return names.reduce((mask, name) => {
    const number = capabilityNames.indexOf(name.toUpperCase());
    return number < 0 ? mask : mask | (1n << BigInt(number));
  }, 0n);
}
