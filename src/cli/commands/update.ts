import { HullError } from "../../platform/errors.ts";
import { ANY_NUMBER, type Command } from "../command.ts";
import { parseCpus, parseRestart } from "../container-options/resources.ts";
import { forEachOperand } from "../each.ts";
import { type FlagKind, type FlagValues, parseBytes } from "../flags.ts";
import { warn } from "../streams/output.ts";

/** The flag, its field in the body, and its kind. */
const fields: readonly (readonly [string, string, FlagKind, string])[] = [
  [
    "blkio-weight",
    "BlkioWeight",
    "int",
    "Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)",
  ],
  ["cpu-period", "CpuPeriod", "int", "Limit CPU CFS (Completely Fair Scheduler) period"],
  ["cpu-quota", "CpuQuota", "int", "Limit CPU CFS (Completely Fair Scheduler) quota"],
  ["cpu-rt-period", "CpuRealtimePeriod", "int", "Limit the CPU real-time period in microseconds"],
  ["cpu-rt-runtime", "CpuRealtimeRuntime", "int", "Limit the CPU real-time runtime in microseconds"],
  ["cpu-shares", "CpuShares", "int", "CPU shares (relative weight)"],
  ["cpuset-cpus", "CpusetCpus", "string", "CPUs in which to allow execution (0-3, 0,1)"],
  ["cpuset-mems", "CpusetMems", "string", "MEMs in which to allow execution (0-3, 0,1)"],
  ["memory", "Memory", "bytes", "Memory limit"],
  ["memory-reservation", "MemoryReservation", "bytes", "Memory soft limit"],
  ["memory-swap", "MemorySwap", "swap", "Swap limit equal to memory plus swap: -1 to enable unlimited swap"],
  ["pids-limit", "PidsLimit", "int", "Tune container pids limit (set -1 for unlimited)"],
];

const letters: Readonly<Record<string, string>> = { "cpu-shares": "c", memory: "m" };

export const command: Command = {
  usage: "[OPTIONS] CONTAINER [CONTAINER...]",
  operands: [1, ANY_NUMBER],
  flags: [
    ...fields.map(([name, , kind, help]) => ({ name, kind, help, ...(letters[name] ? { short: letters[name] } : {}) })),
    { name: "cpus", kind: "float", help: "Number of CPUs" },
    { name: "restart", kind: "string", help: "Restart policy to apply when a container exits" },
  ],
  run({ flags, operands, session }) {
    const body = updateBody(flags);
    if (Object.keys(body).length === 0)
      throw new HullError("invalid-argument", "you must provide one or more flags when using this command");
    return forEachOperand(operands, async (name) => {
      const answer = await session.json<{ Warnings: string[] | null }>({
        method: "POST",
        path: `/containers/${name}/update`,
        body,
      });
      for (const warning of answer.Warnings ?? []) await warn(warning);
    });
  },
};

function updateBody(flags: FlagValues): Record<string, unknown> {
  const body: Record<string, unknown> = {};
  for (const [name, field, kind] of fields) {
    const text = flags.text(name);
    if (text === undefined) continue;
    body[field] = kind === "bytes" || kind === "swap" ? parseBytes(text) : kind === "int" ? Number(text) : text;
  }
  if (flags.has("cpus")) body.NanoCpus = parseCpus(flags.text("cpus")!);
  if (flags.has("restart")) body.RestartPolicy = parseRestart(flags.text("restart")!);
  return body;
}
