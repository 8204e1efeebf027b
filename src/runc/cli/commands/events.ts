import { HullError } from "../../../platform/errors.ts";
import { writeText } from "../../../platform/standard-output.ts";
import { readStats } from "../../cgroup/read-stats.ts";
import type { BlkioEntry, CgroupStats } from "../../cgroup/stats.ts";
import type { CliCommand } from "../context.ts";
import { isOn, text } from "../flags.ts";
import { type ContainerState, load, statusOf } from "../state.ts";

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Go's durations: "5s", "1m30s". */
function parseInterval(value: string): number {
  const parts = [...value.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
  const total = parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * units[unit!]!, 0);
  if (parts.map(([part]) => part).join("") !== value || total <= 0)
    throw new HullError("invalid-argument", "duration interval must be greater than 0");
  return total;
}

const entries = (list: readonly BlkioEntry[]) =>
  list.map(({ major, minor, op, value }) => ({ major, minor, op, value }));

/** In the form of runc's events. */
function eventOf(id: string, { cpu, memory, pids, blkio, hugetlb }: CgroupStats): string {
  const data = {
    cpu: {
      usage: { total: cpu.total, percpu: cpu.perCpu, kernel: cpu.kernel, user: cpu.user },
      throttling: { periods: cpu.periods, throttledPeriods: cpu.throttledPeriods, throttledTime: cpu.throttledTime },
    },
    memory: {
      cache: memory.stats.cache ?? memory.stats.file ?? 0,
      usage: { limit: memory.limit, usage: memory.usage, max: memory.maxUsage, failcnt: memory.failcnt },
      swap: { limit: memory.swapLimit, usage: memory.swapUsage, failcnt: 0 },
      raw: memory.stats,
    },
    pids: { current: pids.current, ...(pids.limit > 0 && { limit: pids.limit }) },
    blkio: { ioServiceBytesRecursive: entries(blkio.serviceBytes), ioServicedRecursive: entries(blkio.serviced) },
    hugetlb: Object.fromEntries(
      Object.entries(hugetlb).map(([size, { usage, maxUsage, failcnt }]) => [size, { usage, max: maxUsage, failcnt }]),
    ),
  };
  return `${JSON.stringify({ type: "stats", id, data })}\n`;
}

/** Until the container ends: figures at each interval, and an event for each out-of-memory kill in between. */
async function follow(root: string, state: ContainerState, intervalMs: number): Promise<void> {
  let kills = 0;
  while ((await statusOf(root, state)) !== "stopped") {
    const stats = await readStats(state.cgroup);
    for (; kills < stats.memory.oomKills; kills++)
      await writeText("stdout", `${JSON.stringify({ type: "oom", id: state.id })}\n`);
    await writeText("stdout", eventOf(state.id, stats));
    await new Promise((resolve) => setTimeout(resolve, intervalMs));
  }
}

export const command: CliCommand = {
  usage: "events [command options] <container-id>",
  about: "display container events such as OOM notifications, cpu, memory, and IO usage statistics",
  flags: { interval: { kind: "text" }, stats: { kind: "switch" } },
  arguments: [1, 1],
  async run({ root, flags }) {
    const intervalMs = parseInterval(text(flags, "interval") ?? "5s");
    const state = load(root, flags.rest[0]!);
    if ((await statusOf(root, state)) === "stopped")
      throw new HullError("failed-precondition", `container with id ${state.id} is not running`);
    if (isOn(flags, "stats")) await writeText("stdout", eventOf(state.id, await readStats(state.cgroup)));
    else await follow(root, state, intervalMs);
    return 0;
  },
};
