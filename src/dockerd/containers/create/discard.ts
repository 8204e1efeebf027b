/**
 * What a container asks for and this machine has not: left out with a warning that the client prints, in dockerd's words where it has any
 * (moby daemon/daemon_unix.go is the behaviour followed). Pure.
 */
import type { HostConfig, Resources } from "../config.ts";
import { capabilitiesOf } from "../spec/capabilities.ts";
import type { Machine } from "./machine.ts";

export interface Fitted<R> {
  readonly kept: R;
  readonly warnings: readonly string[];
}

interface Rule {
  readonly asked: (r: Resources) => boolean;
  readonly supported: (cgroup: Machine["cgroup"]) => boolean;
  readonly without: Partial<Resources>;
  /** Empty: nothing of value was lost. */
  readonly warning: string;
}

const absent = "or the cgroup is not mounted.";
const throttles = [
  ["BlkioDeviceReadBps", "BPS Block I/O read limit", "Block I/O BPS read limit"],
  ["BlkioDeviceWriteBps", "BPS Block I/O write limit", "Block I/O BPS write limit"],
  ["BlkioDeviceReadIOps", "IOPS Block read limit", "Block I/O IOPS read limit"],
  ["BlkioDeviceWriteIOps", "IOPS Block write limit", "Block I/O IOPS write limit"],
] as const;

const rules: readonly Rule[] = [
  {
    asked: (r) => r.Memory > 0,
    supported: (cgroup) => cgroup.memoryLimit,
    without: { Memory: 0, MemorySwap: -1 },
    warning: `Your kernel does not support memory limit capabilities ${absent} Limitation discarded.`,
  },
  {
    asked: (r) => r.Memory > 0 && r.MemorySwap !== -1,
    supported: (cgroup) => cgroup.swapLimit,
    without: { MemorySwap: -1 },
    warning: `Your kernel does not support swap limit capabilities ${absent} Memory limited without swap.`,
  },
  {
    asked: (r) => r.MemorySwappiness !== null,
    supported: (cgroup) => cgroup.memorySwappiness,
    without: { MemorySwappiness: null },
    warning: `Your kernel does not support memory swappiness capabilities ${absent} Memory swappiness discarded.`,
  },
  {
    asked: (r) => r.MemoryReservation > 0,
    supported: (cgroup) => cgroup.memoryLimit,
    without: { MemoryReservation: 0 },
    warning: `Your kernel does not support memory soft limit capabilities ${absent} Limitation discarded.`,
  },
  {
    asked: (r) => r.OomKillDisable === true,
    supported: (cgroup) => cgroup.oomKillDisable,
    without: { OomKillDisable: null },
    warning: "Your kernel does not support OomKillDisable. OomKillDisable discarded.",
  },
  {
    asked: (r) => r.PidsLimit !== null && r.PidsLimit > 0,
    supported: (cgroup) => cgroup.pidsLimit,
    without: { PidsLimit: null },
    warning: `Your kernel does not support PIDs limit capabilities ${absent} PIDs limit discarded.`,
  },
  {
    asked: (r) => r.PidsLimit !== null,
    supported: (cgroup) => cgroup.pidsLimit,
    without: { PidsLimit: null },
    warning: "",
  },
  {
    asked: (r) => r.CpuShares > 0,
    supported: (cgroup) => cgroup.cpuShares,
    without: { CpuShares: 0 },
    warning: `Your kernel does not support CPU shares ${absent} Shares discarded.`,
  },
  {
    asked: (r) => r.CpuPeriod !== 0 || r.CpuQuota !== 0,
    supported: (cgroup) => cgroup.cpuQuota,
    without: { CpuPeriod: 0, CpuQuota: 0 },
    warning: "Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.",
  },
  {
    asked: (r) => r.CpusetCpus !== "" || r.CpusetMems !== "",
    supported: (cgroup) => cgroup.cpuSet,
    without: { CpusetCpus: "", CpusetMems: "" },
    warning: `Your kernel does not support cpuset ${absent} Cpuset discarded.`,
  },
  {
    asked: (r) => r.BlkioWeight > 0,
    supported: (cgroup) => cgroup.blkioWeight,
    without: { BlkioWeight: 0 },
    warning: `Your kernel does not support Block I/O weight ${absent} Weight discarded.`,
  },
  {
    asked: (r) => r.BlkioWeightDevice.length > 0,
    supported: (cgroup) => cgroup.blkioWeight,
    without: { BlkioWeightDevice: [] },
    warning: `Your kernel does not support Block I/O weight_device ${absent} Weight-device discarded.`,
  },
  ...throttles.map(
    ([field, what, discarded]): Rule => ({
      asked: (r) => r[field].length > 0,
      supported: (cgroup) => cgroup.blkioThrottle,
      without: { [field]: [] },
      warning: `Your kernel does not support ${what} ${absent} ${discarded} discarded.`,
    }),
  ),
];

/** Limits without a controller for them. */
export function discardUnsupported<R extends Resources>(resources: R, { cgroup }: Machine): Fitted<R> {
  let kept = resources;
  const warnings: string[] = [];
  for (const { asked, supported, without, warning } of rules) {
    if (!asked(kept) || supported(cgroup)) continue;
    kept = { ...kept, ...without };
    if (warning !== "") warnings.push(warning);
  }
  return { kept, warnings };
}

/** Privileges that the engine lacks itself: the container runs with what there is. */
export function privilegeWarnings(host: HostConfig, machine: Machine): string[] {
  const { lacking, hardLimits } = machine;
  const asksAll = host.Privileged || host.CapAdd?.includes("ALL");
  const asked = capabilitiesOf(host).filter((name) => asksAll || host.CapAdd?.includes(name));
  const missing = asked.filter((name) => lacking.includes(name));
  const mayRaise = !lacking.includes("CAP_SYS_RESOURCE");
  const raised = (host.Ulimits ?? []).filter(({ Name, Hard }) => {
    const most = hardLimits[Name] ?? Number.POSITIVE_INFINITY;
    return !mayRaise && (Hard < 0 ? most !== Number.POSITIVE_INFINITY : Hard > most);
  });
  return [
    ...(missing.length > 0
      ? [`This host lacks capabilities, so the container gets them neither: ${missing.join(", ")}.`]
      : []),
    ...raised.map(
      ({ Name }) =>
        `This host can't raise limits (no CAP_SYS_RESOURCE): ulimit ${Name} is ${hardLimits[Name]}, as much as there is.`,
    ),
    ...(host.OomScoreAdj < 0 && !mayRaise
      ? [
          `This host can't lower OOM scores (no CAP_SYS_RESOURCE): oom-score-adj ${host.OomScoreAdj} was left out where refused.`,
        ]
      : []),
  ];
}
