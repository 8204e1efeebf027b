/** A container's figures, the same shape for cgroup v1 and v2. Counters are cumulative since its start. */

/** One line of per-device input and output: `op` is read, write, sync, async, discard or total. */
export interface BlkioEntry {
  readonly major: number;
  readonly minor: number;
  readonly op: string;
  readonly value: number;
}

export interface CgroupStats {
  readonly version: 1 | 2;
  /** Nanoseconds. */
  readonly cpu: {
    readonly total: number;
    readonly user: number;
    readonly kernel: number;
    /** v1 only; empty on v2. */
    readonly perCpu: readonly number[];
    readonly periods: number;
    readonly throttledPeriods: number;
    readonly throttledTime: number;
  };
  /** Bytes. `maxUsage` 0: the kernel does not tell; limits 0: none (v2), or near 2^63 (v1). */
  readonly memory: {
    readonly usage: number;
    readonly maxUsage: number;
    readonly limit: number;
    readonly failcnt: number;
    /** memory.stat by name. */
    readonly stats: Readonly<Record<string, number>>;
    readonly swapUsage: number;
    readonly swapLimit: number;
    readonly oomKills: number;
  };
  /** `limit` 0: none. */
  readonly pids: { readonly current: number; readonly limit: number };
  readonly blkio: { readonly serviceBytes: readonly BlkioEntry[]; readonly serviced: readonly BlkioEntry[] };
  /** By page size, such as "2MB". */
  readonly hugetlb: Readonly<
    Record<string, { readonly usage: number; readonly maxUsage: number; readonly failcnt: number }>
  >;
}

/** "name value" lines. */
export function parsePairs(text: string): Record<string, number> {
  const pairs = text.split("\n").flatMap((line) => {
    const [name, value] = line.split(" ");
    return name && value !== undefined ? [[name, Number(value)] as const] : [];
  });
  return Object.fromEntries(pairs);
}

/** A number; "max" and absence are 0. */
export function parseAmount(text: string): number {
  const value = Number(text.trim());
  return Number.isFinite(value) ? value : 0;
}
