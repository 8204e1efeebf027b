/** A task's figures as containerd's cgroup metrics (io.containerd.cgroups.v1 or v2). */
import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { BlkioEntry, CgroupStats } from "../../runc/cgroup/stats.ts";
import { MetricsSchema as MetricsV1Schema } from "../gen/containerd/cgroups/v1/metrics_pb.ts";
import { MetricsSchema as MetricsV2Schema } from "../gen/containerd/cgroups/v2/metrics_pb.ts";
import { fieldsOf, parseFilters } from "../store/filter.ts";
import type { Task } from "../tasks/task.ts";
import type { TaskHost } from "../tasks/task-host.ts";
import { toTimestamp } from "../timestamp.ts";

/** Of the running tasks that match one of the filters ("id==x"). */
export async function taskMetrics(host: TaskHost, namespace: string, filters: readonly string[]) {
  const matches = parseFilters(filters);
  const running = host.tasks
    .list(namespace)
    .filter((task) => task.init.state.kind !== "stopped" && matches(fieldsOf({ id: task.id, namespace })));
  return Promise.all(running.map((task) => metricOf(host, task)));
}

async function metricOf(host: TaskHost, task: Task) {
  const stats = await host.plans.stats(task.identity.file.cgroup);
  const data = stats.version === 2 ? pack(MetricsV2Schema, metricsV2(stats)) : pack(MetricsV1Schema, metricsV1(stats));
  return { timestamp: toTimestamp(Date.now()), id: task.id, data };
}

function pack<D extends DescMessage>(schema: D, body: MessageInitShape<D>): { typeUrl: string; value: Uint8Array } {
  return { typeUrl: schema.typeName, value: toBinary(schema, create(schema, body)) };
}

/** A counter; what is beyond 2^64 or negative is not one. */
const amount = (value: number | undefined): bigint => BigInt.asUintN(64, BigInt(Math.max(0, Math.trunc(value ?? 0))));

function metricsV1({ cpu, memory, pids, blkio, hugetlb }: CgroupStats): MessageInitShape<typeof MetricsV1Schema> {
  const stat = memory.stats;
  const [total, kernel, user] = [cpu.total, cpu.kernel, cpu.user].map(amount);
  return {
    pids: { current: amount(pids.current), limit: amount(pids.limit) },
    cpu: {
      usage: { total: total!, kernel: kernel!, user: user!, perCpu: cpu.perCpu.map(amount) },
      throttling: {
        periods: amount(cpu.periods),
        throttledPeriods: amount(cpu.throttledPeriods),
        throttledTime: amount(cpu.throttledTime),
      },
    },
    memory: {
      cache: amount(stat.cache),
      rss: amount(stat.rss),
      mappedFile: amount(stat.mapped_file),
      inactiveAnon: amount(stat.inactive_anon),
      activeAnon: amount(stat.active_anon),
      inactiveFile: amount(stat.inactive_file),
      activeFile: amount(stat.active_file),
      unevictable: amount(stat.unevictable),
      pgFault: amount(stat.pgfault),
      pgMajFault: amount(stat.pgmajfault),
      hierarchicalMemoryLimit: amount(stat.hierarchical_memory_limit),
      totalCache: amount(stat.total_cache),
      totalRss: amount(stat.total_rss),
      totalInactiveFile: amount(stat.total_inactive_file),
      totalActiveFile: amount(stat.total_active_file),
      usage: {
        usage: amount(memory.usage),
        max: amount(memory.maxUsage),
        limit: amount(memory.limit),
        failcnt: amount(memory.failcnt),
      },
      swap: { usage: amount(memory.swapUsage), limit: amount(memory.swapLimit) },
    },
    memoryOomControl: { oomKill: amount(memory.oomKills) },
    blkio: {
      ioServiceBytesRecursive: blkio.serviceBytes.map(blkioEntry),
      ioServicedRecursive: blkio.serviced.map(blkioEntry),
    },
    hugetlb: Object.entries(hugetlb).map(([pagesize, { usage, maxUsage, failcnt }]) => ({
      pagesize,
      usage: amount(usage),
      max: amount(maxUsage),
      failcnt: amount(failcnt),
    })),
  };
}

const blkioEntry = ({ major, minor, op, value }: BlkioEntry) => ({
  op,
  major: amount(major),
  minor: amount(minor),
  value: amount(value),
});

function metricsV2({ cpu, memory, pids, blkio }: CgroupStats): MessageInitShape<typeof MetricsV2Schema> {
  const stat = memory.stats;
  const micro = (ns: number): bigint => amount(ns / 1000);
  return {
    pids: { current: amount(pids.current), limit: amount(pids.limit) },
    cpu: {
      usageUsec: micro(cpu.total),
      userUsec: micro(cpu.user),
      systemUsec: micro(cpu.kernel),
      nrPeriods: amount(cpu.periods),
      nrThrottled: amount(cpu.throttledPeriods),
      throttledUsec: micro(cpu.throttledTime),
    },
    memory: {
      anon: amount(stat.anon),
      file: amount(stat.file),
      kernelStack: amount(stat.kernel_stack),
      slab: amount(stat.slab),
      shmem: amount(stat.shmem),
      inactiveFile: amount(stat.inactive_file),
      activeFile: amount(stat.active_file),
      pgfault: amount(stat.pgfault),
      pgmajfault: amount(stat.pgmajfault),
      usage: amount(memory.usage),
      usageLimit: amount(memory.limit),
      swapUsage: amount(memory.swapUsage),
      swapLimit: amount(memory.swapLimit),
      maxUsage: amount(memory.maxUsage),
    },
    memoryEvents: { oomKill: amount(memory.oomKills), max: amount(memory.failcnt) },
    io: { usage: ioEntries(blkio) },
  };
}

function ioEntries({ serviceBytes, serviced }: CgroupStats["blkio"]) {
  const devices = new Map(serviceBytes.map(({ major, minor }) => [`${major}:${minor}`, { major, minor }]));
  const of = (list: readonly BlkioEntry[], device: string, op: string): bigint =>
    amount(list.find((entry) => `${entry.major}:${entry.minor}` === device && entry.op === op)?.value);
  return [...devices].map(([device, { major, minor }]) => ({
    major: amount(major),
    minor: amount(minor),
    rbytes: of(serviceBytes, device, "read"),
    wbytes: of(serviceBytes, device, "write"),
    rios: of(serviced, device, "read"),
    wios: of(serviced, device, "write"),
  }));
}
