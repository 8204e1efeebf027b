/** `linux.resources` as writes into cgroup v2 files (Documentation/admin-guide/cgroup-v2.rst). Pure but for what `facts` reads. */
import type { Operation } from "../../keel/plan.ts";
import type { SpecResources } from "../../oci/runtime-spec.ts";
import { HullError } from "../../platform/errors.ts";
import { type LimitContext, pidsValue, rdmaLines } from "./limits-v1.ts";
import { writeCgroup } from "./make.ts";
import { unifiedDirectory } from "./place.ts";

const DEFAULT_PERIOD_US = 100_000;

type Write = (file: string, value: string | number, key: string) => Operation;

/** shares 2..262144 to weight 1..10000 such that 1024 becomes 100: the quadratic fit in the logarithm that runc and crun agreed on. */
export function weightOfShares(shares: number): number {
  if (shares <= 2) return 1;
  if (shares >= 262_144) return 10_000;
  const l = Math.log2(shares);
  return Math.floor(10 ** ((l * l + 125 * l) / 612 - 7 / 34) + 0.99);
}

/** blkio weight 10..1000 to io.weight 1..10000. */
export const ioWeightOf = (weight: number): number => Math.floor(1 + ((weight - 10) * 9999) / 990);

function cpu(context: LimitContext, write: Write, limits: NonNullable<SpecResources["cpu"]>): Operation[] {
  const { shares, quota, period, burst, cpus, mems, idle, realtimeRuntime } = limits;
  if (realtimeRuntime)
    throw new HullError("failed-precondition", `${context.at}/cpu/realtimeRuntime: cgroup v2 has no real-time limits`);
  const bandwidth = `${quota && quota > 0 ? quota : "max"} ${period || DEFAULT_PERIOD_US}`;
  return [
    ...(cpus === "" ? [] : [write("cpuset.cpus", cpus, "cpu/cpus")]),
    ...(mems === "" ? [] : [write("cpuset.mems", mems, "cpu/mems")]),
    ...(idle === undefined ? [] : [write("cpu.idle", idle, "cpu/idle")]),
    ...(shares && !idle ? [write("cpu.weight", weightOfShares(shares), "cpu/shares")] : []),
    ...(quota || period ? [write("cpu.max", bandwidth, "cpu/quota")] : []),
    ...(burst ? [write("cpu.max.burst", burst, "cpu/burst")] : []),
  ];
}

const bytes = (amount: number): string => (amount < 0 ? "max" : String(amount));

/** v1's swap is memory and swap together, v2's is swap alone. */
function swapOnly({ at }: LimitContext, limit: number | undefined, swap: number): string {
  if (swap < 0) return "max";
  if (!limit || limit < 0) throw new HullError("invalid-argument", `${at}/memory/swap: needs a memory limit beside it`);
  if (swap < limit)
    throw new HullError("invalid-argument", `${at}/memory/swap: ${swap} is below the memory limit ${limit}`);
  return String(swap - limit);
}

function memory(context: LimitContext, write: Write, limits: NonNullable<SpecResources["memory"]>): Operation[] {
  const { limit, reservation, swap, swappiness, disableOOMKiller } = limits;
  if (swappiness !== undefined) context.warnings.push("cgroup v2 has no memory.swappiness: it was left out.");
  if (disableOOMKiller) context.warnings.push("cgroup v2 can't disable the OOM killer: it was left out.");
  const wanted = swap || (limit === -1 ? -1 : undefined);
  return [
    // The swap limit first: the memory limit may push pages out at once.
    ...(wanted ? [write("memory.swap.max", swapOnly(context, limit, wanted), "memory/swap")] : []),
    ...(limit ? [write("memory.max", bytes(limit), "memory/limit")] : []),
    ...(reservation ? [write("memory.low", bytes(reservation), "memory/reservation")] : []),
  ];
}

function blockIo(context: LimitContext, write: Write, limits: NonNullable<SpecResources["blockIO"]>): Operation[] {
  const throttles = [
    ["throttleReadBpsDevice", "rbps"],
    ["throttleWriteBpsDevice", "wbps"],
    ["throttleReadIOPSDevice", "riops"],
    ["throttleWriteIOPSDevice", "wiops"],
  ] as const;
  const hasBfq = context.facts.readText(`${unifiedDirectory(context.place)}/io.bfq.weight`) !== undefined;
  const weightFile = hasBfq ? "io.bfq.weight" : "io.weight";
  const value = (weight: number): number => (hasBfq ? weight : ioWeightOf(weight));
  return [
    ...(limits.weight ? [write(weightFile, value(limits.weight), "blockIO/weight")] : []),
    ...limits.weightDevice.flatMap(({ major, minor, weight }, i) =>
      weight ? [write(weightFile, `${major}:${minor} ${value(weight)}`, `blockIO/weightDevice/${i}`)] : [],
    ),
    ...throttles.flatMap(([key, name]) =>
      limits[key].map(({ major, minor, rate }, i) =>
        write("io.max", `${major}:${minor} ${name}=${rate || "max"}`, `blockIO/${key}/${i}`),
      ),
    ),
  ];
}

/** A file name of the cgroup, never a path out of it. */
function unified(context: LimitContext, write: Write, files: Readonly<Record<string, string>>): Operation[] {
  return Object.entries(files).flatMap(([file, value]) => {
    if (file.includes("/"))
      throw new HullError("invalid-argument", `${context.at}/unified: "${file}" is a path, not a file name`);
    return value.split("\n").map((line) => write(file, line, `unified/${file}`));
  });
}

/** Writes for everything that `resources` names, devices aside. */
export function limitsV2(context: LimitContext, resources: SpecResources): Operation[] {
  const directory = unifiedDirectory(context.place);
  if (directory === undefined) return [];
  const write: Write = (file, value, key) => writeCgroup(`${directory}/${file}`, String(value), `${context.at}/${key}`);
  const { pids, hugepageLimits, rdma } = resources;
  return [
    ...(resources.cpu ? cpu(context, write, resources.cpu) : []),
    ...(resources.memory ? memory(context, write, resources.memory) : []),
    ...(pids?.limit === undefined ? [] : [write("pids.max", pidsValue(pids.limit), "pids/limit")]),
    ...(resources.blockIO ? blockIo(context, write, resources.blockIO) : []),
    ...hugepageLimits.map(({ pageSize, limit }, i) =>
      write(`hugetlb.${pageSize}.max`, String(limit), `hugepageLimits/${i}`),
    ),
    ...rdmaLines(rdma).map(([device, line]) => write("rdma.max", line, `rdma/${device}`)),
    ...unified(context, write, resources.unified),
  ];
}
