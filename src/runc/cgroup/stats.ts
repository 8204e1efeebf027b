/** A container's figures, the same shape for cgroup v1 and v2. Counters are cumulative since its start; times are nanoseconds. */

/** One line of per-device input and output: `op` is read, write, sync, async, discard or total. */
export interface BlockIoEntry {
  readonly major: number;
  readonly minor: number;
  readonly op: string;
  readonly value: number;
}

export interface CgroupStats {
  /** Epoch milliseconds of the reading. */
  readonly readAtMs: number;
  readonly cgroupVersion: 1 | 2;
  readonly cpu: {
    readonly usageNs: number;
    readonly userNs: number;
    readonly systemNs: number;
    /** v1 only; empty on v2. */
    readonly perCpuNs: readonly number[];
    readonly periods: number;
    readonly throttledPeriods: number;
    readonly throttledNs: number;
  };
  readonly memory: {
    readonly usageBytes: number;
    /** 0: the kernel does not tell. */
    readonly maxUsageBytes: number;
    /** As the kernel has it: without a limit a number beyond any machine (v1) or undefined (v2). */
    readonly limitBytes: number | undefined;
    readonly failures: number;
    /** memory.stat by name. */
    readonly details: Readonly<Record<string, number>>;
    readonly swapUsageBytes: number;
    readonly swapLimitBytes: number | undefined;
    readonly oomKills: number;
  };
  /** limit undefined: none. */
  readonly pids: { readonly current: number; readonly limit: number | undefined };
  readonly blockIo: {
    readonly serviceBytes: readonly BlockIoEntry[];
    readonly serviced: readonly BlockIoEntry[];
  };
  readonly hugetlb: Readonly<
    Record<string, { readonly usageBytes: number; readonly maxUsageBytes: number; readonly failures: number }>
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

/** A number, or "max" (and absence) as undefined. */
export function parseLimit(text: string | undefined): number | undefined {
  const value = text?.trim();
  return value === undefined || value === "" || value === "max" ? undefined : Number(value);
}
