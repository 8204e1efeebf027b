/** linux.resources -> the files of the cgroups that say the same. Pure; v1 and v2 side by side. */
import type { DeviceRule, Resources } from "../../oci/runtime-spec.ts";

export interface CgroupWrite {
  readonly controller: string;
  readonly file: string;
  readonly value: string;
  /** JSON pointer below /linux/resources, for error texts. */
  readonly pointer: string;
  /** The host may lack the file: then the setting is left out. */
  readonly optional?: boolean;
}

type Write = (file: string, value: string | number | undefined, pointer: string, optional?: boolean) => void;

/** Collects the writes of one controller; undefined values write nothing. */
function writer(into: CgroupWrite[], controller: string): Write {
  return (file, value, pointer, optional = false) => {
    if (value !== undefined && value !== "")
      into.push({ controller, file: `${controller}.${file}`, value: String(value), pointer, optional });
  };
}

/** Writes for cgroup v1, in an order the kernel accepts when nothing was limited before. */
export function v1Writes(resources: Resources, hasSwapAccounting: boolean): CgroupWrite[] {
  const writes: CgroupWrite[] = [];
  memoryV1(resources, hasSwapAccounting, writer(writes, "memory"));
  cpuV1(resources, writer(writes, "cpu"));
  const cpuset = writer(writes, "cpuset");
  cpuset("cpus", resources.cpu?.cpus, "/cpu/cpus");
  cpuset("mems", resources.cpu?.mems, "/cpu/mems");
  writer(writes, "pids")("max", pidsLimit(resources), "/pids/limit");
  blkioV1(resources, writer(writes, "blkio"));
  for (const { pageSize, limit } of resources.hugepageLimits ?? [])
    writer(writes, "hugetlb")(`${pageSize}.limit_in_bytes`, limit, "/hugepageLimits", true);
  return writes;
}

const pidsLimit = ({ pids }: Resources): string | undefined =>
  pids === undefined ? undefined : pids.limit > 0 ? String(pids.limit) : "max";

function memoryV1({ memory }: Resources, hasSwapAccounting: boolean, write: Write): void {
  if (!memory) return;
  write("limit_in_bytes", nonZero(memory.limit), "/memory/limit");
  write("soft_limit_in_bytes", nonZero(memory.reservation), "/memory/reservation");
  // After the limit: the sum may not be below it.
  if (hasSwapAccounting) write("memsw.limit_in_bytes", nonZero(memory.swap), "/memory/swap");
  write("kmem.tcp.limit_in_bytes", nonZero(memory.kernelTCP), "/memory/kernelTCP", true);
  if (memory.swappiness !== undefined && memory.swappiness <= 100)
    write("swappiness", memory.swappiness, "/memory/swappiness", true);
  if (memory.disableOOMKiller) write("oom_control", 1, "/memory/disableOOMKiller");
}

function cpuV1({ cpu }: Resources, write: Write): void {
  if (!cpu) return;
  write("shares", nonZero(cpu.shares), "/cpu/shares");
  write("cfs_period_us", nonZero(cpu.period), "/cpu/period");
  write("cfs_quota_us", nonZero(cpu.quota), "/cpu/quota");
  write("cfs_burst_us", cpu.burst, "/cpu/burst", true);
  write("rt_period_us", nonZero(cpu.realtimePeriod), "/cpu/realtimePeriod");
  write("rt_runtime_us", nonZero(cpu.realtimeRuntime), "/cpu/realtimeRuntime");
  write("idle", cpu.idle, "/cpu/idle", true);
}

function blkioV1({ blockIO }: Resources, write: Write): void {
  if (!blockIO) return;
  const optional = true;
  write("weight", nonZero(blockIO.weight), "/blockIO/weight", optional);
  for (const { major, minor, weight } of blockIO.weightDevice ?? []) {
    if (weight !== undefined) write("weight_device", `${major}:${minor} ${weight}`, "/blockIO/weightDevice", optional);
  }
  const throttles = [
    ["throttle.read_bps_device", blockIO.throttleReadBpsDevice, "throttleReadBpsDevice"],
    ["throttle.write_bps_device", blockIO.throttleWriteBpsDevice, "throttleWriteBpsDevice"],
    ["throttle.read_iops_device", blockIO.throttleReadIOPSDevice, "throttleReadIOPSDevice"],
    ["throttle.write_iops_device", blockIO.throttleWriteIOPSDevice, "throttleWriteIOPSDevice"],
  ] as const;
  for (const [file, devices, name] of throttles) {
    for (const { major, minor, rate } of devices ?? []) write(file, `${major}:${minor} ${rate}`, `/blockIO/${name}`);
  }
}

const nonZero = (value: number | undefined): number | undefined => (value === 0 ? undefined : value);

/** v1 shares (2..262144) as a v2 weight (1..10000): runc's curve, through 2->1, 1024->100, 262144->10000. */
export function weightOfShares(shares: number): number {
  if (shares <= 2) return 1;
  if (shares >= 262144) return 10000;
  const exponent = Math.log2(shares);
  return Math.trunc(10 ** ((exponent * exponent + 125 * exponent) / 612 - 7 / 34) + 0.99);
}

const orMax = (value: number | undefined): string | undefined =>
  value === undefined || value === 0 ? undefined : value < 0 ? "max" : String(value);

/** Writes for cgroup v2. */
export function v2Writes(resources: Resources): CgroupWrite[] {
  const writes: CgroupWrite[] = [];
  const { memory, cpu, blockIO } = resources;
  const memoryWrite = writer(writes, "memory");
  memoryWrite("max", orMax(memory?.limit), "/memory/limit");
  memoryWrite("low", orMax(memory?.reservation), "/memory/reservation");
  memoryWrite("swap.max", swapV2(memory), "/memory/swap", true);
  const cpuWrite = writer(writes, "cpu");
  if (cpu?.shares) cpuWrite("weight", weightOfShares(cpu.shares), "/cpu/shares");
  if (cpu?.quota || cpu?.period)
    cpuWrite("max", `${cpu.quota && cpu.quota > 0 ? cpu.quota : "max"} ${cpu.period || 100000}`, "/cpu/quota");
  cpuWrite("max.burst", cpu?.burst, "/cpu/burst", true);
  cpuWrite("idle", cpu?.idle, "/cpu/idle", true);
  const cpuset = writer(writes, "cpuset");
  cpuset("cpus", cpu?.cpus, "/cpu/cpus");
  cpuset("mems", cpu?.mems, "/cpu/mems");
  writer(writes, "pids")("max", pidsLimit(resources), "/pids/limit");
  ioV2(blockIO, writer(writes, "io"));
  for (const { pageSize, limit } of resources.hugepageLimits ?? [])
    writer(writes, "hugetlb")(`${pageSize}.max`, limit, "/hugepageLimits", true);
  for (const [file, value] of Object.entries(resources.unified ?? {})) {
    writes.push({ controller: file.split(".")[0]!, file, value, pointer: `/unified/${file}` });
  }
  return writes;
}

/** v2 counts swap alone, the specification memory and swap together. */
function swapV2(memory: Resources["memory"]): string | undefined {
  const { swap, limit } = memory ?? {};
  if (swap === undefined || swap === 0) return undefined;
  if (swap < 0) return "max";
  return limit === undefined || limit < 0 ? undefined : String(swap - limit);
}

function ioV2(blockIO: Resources["blockIO"], write: Write): void {
  if (!blockIO) return;
  if (blockIO.weight) write("bfq.weight", blockIO.weight, "/blockIO/weight", true);
  const limits = [
    ["rbps", blockIO.throttleReadBpsDevice],
    ["wbps", blockIO.throttleWriteBpsDevice],
    ["riops", blockIO.throttleReadIOPSDevice],
    ["wiops", blockIO.throttleWriteIOPSDevice],
  ] as const;
  for (const [key, devices] of limits)
    for (const { major, minor, rate } of devices ?? []) write("max", `${major}:${minor} ${key}=${rate}`, "/blockIO");
}

/** v1's devices.deny and devices.allow, rule by rule. */
export function v1DeviceWrites(rules: readonly DeviceRule[]): CgroupWrite[] {
  return rules.map((rule, i) => {
    const everything = rule.type === undefined || rule.type === "" || rule.type === "a";
    const number = (value: number | undefined) => (value === undefined || value < 0 ? "*" : String(value));
    const value =
      everything && rule.major === undefined
        ? "a"
        : `${rule.type} ${number(rule.major)}:${number(rule.minor)} ${rule.access ?? "rwm"}`;
    return {
      controller: "devices",
      file: rule.allow ? "devices.allow" : "devices.deny",
      value,
      pointer: `/devices/${i}`,
    };
  });
}
