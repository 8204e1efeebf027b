/** `linux.resources` as writes into v1 cgroup files (Documentation/admin-guide/cgroup-v1). Pure but for what `facts` reads. */
import type { Operation } from "../../keel/plan.ts";
import type { SpecResources } from "../../oci/runtime-spec.ts";
import { HullError } from "../../platform/errors.ts";
import type { HostFacts } from "../host-facts.ts";
import { writeCgroup } from "./make.ts";
import type { CgroupPlace } from "./place.ts";

export interface LimitContext {
  readonly facts: HostFacts;
  readonly place: CgroupPlace;
  readonly warnings: string[];
  /** JSON pointer of the resources, for causes. */
  readonly at: string;
}

/** Writes one value; a controller that this machine lacks is an error that names it. */
function write(
  context: LimitContext,
  controller: string,
  [file, value, key]: readonly [string, string | number, string],
) {
  const directory = context.place.paths[controller];
  if (directory === undefined)
    throw new HullError(
      "failed-precondition",
      `${context.at}/${key}: this host has no ${controller} cgroup controller: remove the limit, or mount the controller`,
    );
  return writeCgroup(`${directory}/${file}`, String(value), `${context.at}/${key}`);
}

const exists = (context: LimitContext, controller: string, file: string): boolean =>
  context.facts.readText(`${directoryToAsk(context, controller)}/${file}`) !== undefined;

/** Before the container's own directory is made, its parents tell which files there will be. */
function directoryToAsk({ facts, place }: LimitContext, controller: string): string {
  const own = place.paths[controller] ?? "";
  if (facts.readText(`${own}/tasks`) !== undefined) return own;
  return facts.cgroups.v1.find(({ controllers }) => controllers.includes(controller))?.mountPoint ?? own;
}

function cpu(context: LimitContext, { cpu: limits }: SpecResources): Operation[] {
  if (!limits) return [];
  const { shares, quota, period, burst, realtimeRuntime, realtimePeriod, cpus, mems, idle } = limits;
  const one = (file: string, value: number | undefined, key: string) =>
    value === undefined || (value === 0 && key !== "idle") ? [] : [write(context, "cpu", [file, value, `cpu/${key}`])];
  const set = (file: string, value: string, key: string) =>
    value === "" ? [] : [write(context, "cpuset", [file, value, `cpu/${key}`])];
  return [
    ...set("cpuset.cpus", cpus, "cpus"),
    ...set("cpuset.mems", mems, "mems"),
    ...one("cpu.shares", shares, "shares"),
    ...quotaWrites(context, { quota, period }),
    ...one("cpu.cfs_burst_us", burst, "burst"),
    ...one("cpu.rt_period_us", realtimePeriod, "realtimePeriod"),
    ...one("cpu.rt_runtime_us", realtimeRuntime, "realtimeRuntime"),
    ...one("cpu.idle", idle, "idle"),
  ];
}

/** Quota and period must fit each other after every write: what shrinks their ratio against the parent goes first. */
function quotaWrites(
  context: LimitContext,
  wanted: { quota: number | undefined; period: number | undefined },
): Operation[] {
  const quota = wanted.quota ? [write(context, "cpu", ["cpu.cfs_quota_us", wanted.quota, "cpu/quota"])] : [];
  const period = wanted.period ? [write(context, "cpu", ["cpu.cfs_period_us", wanted.period, "cpu/period"])] : [];
  const current = Number(context.facts.readText(`${context.place.paths.cpu}/cpu.cfs_quota_us`) ?? -1);
  return current > 0 ? [...quota, ...period] : [...period, ...quota];
}

function memory(context: LimitContext, { memory: limits }: SpecResources): Operation[] {
  if (!limits) return [];
  const { reservation, kernelTCP, swappiness, disableOOMKiller } = limits;
  const one = (file: string, value: number | undefined, key: string) =>
    value === undefined || (value === 0 && key !== "swappiness")
      ? []
      : [write(context, "memory", [file, value, `memory/${key}`])];
  return [
    ...limitAndSwap(context, limits),
    ...one("memory.soft_limit_in_bytes", reservation, "reservation"),
    ...one("memory.kmem.tcp.limit_in_bytes", kernelTCP, "kernelTCP"),
    ...(swappiness !== undefined && swappiness > 100
      ? refuseSwappiness(context)
      : one("memory.swappiness", swappiness, "swappiness")),
    ...(disableOOMKiller ? one("memory.oom_control", 1, "disableOOMKiller") : []),
  ];
}

function refuseSwappiness(context: LimitContext): never {
  throw new HullError("invalid-argument", `${context.at}/memory/swappiness: is not between 0 and 100`);
}

type MemoryLimits = NonNullable<SpecResources["memory"]>;

/** memory + swap may never be below memory: which of the two goes first depends on what holds now. */
function limitAndSwap(context: LimitContext, { limit, swap, checkBeforeUpdate }: MemoryLimits): Operation[] {
  const { facts, place, warnings } = context;
  const both = limit === -1 && !swap ? -1 : swap;
  if (checkBeforeUpdate && limit && limit > 0) checkUsage(context, limit);
  const limits = limit ? [write(context, "memory", ["memory.limit_in_bytes", limit, "memory/limit"])] : [];
  if (!both) return limits;
  if (!exists(context, "memory", "memory.memsw.limit_in_bytes")) {
    if (swap) warnings.push("Your kernel does not support swap limit capabilities. Memory limited without swap.");
    return limits;
  }
  const swaps = [write(context, "memory", ["memory.memsw.limit_in_bytes", both, "memory/swap"])];
  const current = Number(facts.readText(`${place.paths.memory}/memory.limit_in_bytes`) ?? Number.MAX_VALUE);
  return both === -1 || current < both ? [...swaps, ...limits] : [...limits, ...swaps];
}

function checkUsage({ facts, place, at }: LimitContext, limit: number): void {
  const usage = Number(facts.readText(`${place.paths.memory}/memory.usage_in_bytes`) ?? 0);
  if (usage > limit)
    throw new HullError(
      "failed-precondition",
      `${at}/memory/limit: ${limit} is below the current usage of ${usage} bytes`,
    );
}

function blockIo(context: LimitContext, { blockIO: limits }: SpecResources): Operation[] {
  if (!limits) return [];
  const one = (file: string, value: string | number | undefined, key: string) =>
    value === undefined || value === 0 ? [] : [write(context, "blkio", [file, value, `blockIO/${key}`])];
  const weightFile = exists(context, "blkio", "blkio.weight") ? "blkio.weight" : "blkio.bfq.weight";
  const throttles = [
    ["throttleReadBpsDevice", "read_bps"],
    ["throttleWriteBpsDevice", "write_bps"],
    ["throttleReadIOPSDevice", "read_iops"],
    ["throttleWriteIOPSDevice", "write_iops"],
  ] as const;
  return [
    ...one(weightFile, limits.weight, "weight"),
    ...one("blkio.leaf_weight", limits.leafWeight, "leafWeight"),
    ...limits.weightDevice.flatMap(({ major, minor, weight, leafWeight }, i) => [
      ...one(`${weightFile}_device`, weight && `${major}:${minor} ${weight}`, `weightDevice/${i}`),
      ...one("blkio.leaf_weight_device", leafWeight && `${major}:${minor} ${leafWeight}`, `weightDevice/${i}`),
    ]),
    ...throttles.flatMap(([key, file]) =>
      limits[key].flatMap(({ major, minor, rate }, i) =>
        one(`blkio.throttle.${file}_device`, `${major}:${minor} ${rate}`, `${key}/${i}`),
      ),
    ),
  ];
}

/** 0 and below: as many as there can be. */
export const pidsValue = (limit: number): string => (limit > 0 ? String(limit) : "max");

function rest(context: LimitContext, { pids, hugepageLimits, network, rdma }: SpecResources): Operation[] {
  return [
    ...(pids?.limit === undefined ? [] : [write(context, "pids", ["pids.max", pidsValue(pids.limit), "pids/limit"])]),
    ...hugepageLimits.map(({ pageSize, limit }, i) =>
      write(context, "hugetlb", [`hugetlb.${pageSize}.limit_in_bytes`, String(limit), `hugepageLimits/${i}`]),
    ),
    ...(network?.classID ? [write(context, "net_cls", ["net_cls.classid", network.classID, "network/classID"])] : []),
    ...(network?.priorities ?? []).map(({ name, priority }, i) =>
      write(context, "net_prio", ["net_prio.ifpriomap", `${name} ${priority}`, `network/priorities/${i}`]),
    ),
    ...rdmaLines(rdma).map(([device, line]) => write(context, "rdma", ["rdma.max", line, `rdma/${device}`])),
  ];
}

/** "mlx4_0 hca_handle=3 hca_object=max" (Documentation/admin-guide/cgroup-v1/rdma.rst). */
export const rdmaLines = (rdma: SpecResources["rdma"]): (readonly [string, string])[] =>
  Object.entries(rdma).map(([device, { hcaHandles, hcaObjects }]) => [
    device,
    `${device} hca_handle=${hcaHandles ?? "max"} hca_object=${hcaObjects ?? "max"}`,
  ]);

/** Writes for everything that `resources` names, devices aside. */
export function limitsV1(context: LimitContext, resources: SpecResources): Operation[] {
  if (Object.keys(resources.unified).length > 0)
    throw new HullError("failed-precondition", `${context.at}/unified: this host's cgroups are not unified (v1)`);
  return [
    ...cpu(context, resources),
    ...memory(context, resources),
    ...blockIo(context, resources),
    ...rest(context, resources),
  ];
}
