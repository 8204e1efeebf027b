import { readFileSync } from "node:fs";
import { parseResources } from "../../../oci/runtime-spec-linux.ts";
import { updateResources } from "../../cgroup/resources.ts";
import { readHostFacts } from "../../host-facts.ts";
import type { CliCommand } from "../context.ts";
import { type FlagShapes, number, type ParsedFlags, text } from "../flags.ts";
import { load } from "../state.ts";
import { writeAll } from "../write-cgroup.ts";

/** Flag to its place in linux.resources. */
const amounts = {
  "blkio-weight": ["blockIO", "weight"],
  "cpu-period": ["cpu", "period"],
  "cpu-quota": ["cpu", "quota"],
  "cpu-burst": ["cpu", "burst"],
  "cpu-share": ["cpu", "shares"],
  "cpu-rt-period": ["cpu", "realtimePeriod"],
  "cpu-rt-runtime": ["cpu", "realtimeRuntime"],
  "cpu-idle": ["cpu", "idle"],
  "pids-limit": ["pids", "limit"],
} as const;
const sizes = {
  memory: ["memory", "limit"],
  "memory-reservation": ["memory", "reservation"],
  "memory-swap": ["memory", "swap"],
  "kernel-memory-tcp": ["memory", "kernelTCP"],
} as const;
const lists = { "cpuset-cpus": ["cpu", "cpus"], "cpuset-mems": ["cpu", "mems"] } as const;

const units: Readonly<Record<string, number>> = { "": 1, b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

function bytes(value: string): number {
  const match = /^(-?\d+)([bkmg]?)$/i.exec(value);
  return match ? Number(match[1]) * units[match[2]!.toLowerCase()]! : Number.NaN;
}

function fromFlags(flags: ParsedFlags): object {
  const made: Record<string, Record<string, number | string>> = {};
  const put = ([group, key]: readonly [string, string], value: number | string): void => {
    made[group] = { ...made[group], [key]: value };
  };
  for (const [name, place] of Object.entries(amounts)) if (text(flags, name)) put(place, number(flags, name, 0));
  for (const [name, place] of Object.entries(sizes)) if (text(flags, name)) put(place, bytes(text(flags, name)!));
  for (const [name, place] of Object.entries(lists)) if (text(flags, name)) put(place, text(flags, name)!);
  return made;
}

const flagShapes: FlagShapes = {
  resources: { kind: "text", aliases: ["r"] },
  "kernel-memory": { kind: "text" },
  ...Object.fromEntries(
    [...Object.keys(amounts), ...Object.keys(sizes), ...Object.keys(lists)].map((name) => [name, { kind: "text" }]),
  ),
};

export const command: CliCommand = {
  usage: "update [command options] <container-id>",
  about: "update container resource constraints",
  flags: flagShapes,
  arguments: [1, 1],
  async run({ root, flags, log }) {
    const state = load(root, flags.rest[0]!);
    const file = text(flags, "resources");
    const json = file ? readFileSync(file === "-" ? 0 : file, "utf8") : JSON.stringify(fromFlags(flags));
    const warnings: string[] = [];
    const request = { facts: readHostFacts(), place: state.cgroup, warnings, document: "resources" };
    // As with runc, devices are not a matter of updates.
    writeAll(updateResources(request, { ...parseResources(json), devices: [] }));
    for (const warning of warnings) log.write("warning", warning);
    return 0;
  },
};
