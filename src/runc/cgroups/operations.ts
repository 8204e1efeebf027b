/** Cgroups as operations: made and limited, joined, frozen, removed. Pure. */
import { type Operation, operation } from "../../keel/plan.ts";
import type { Resources } from "../../oci/runtime-spec.ts";
import { HullError } from "../../platform/errors.ts";
import { O_WRONLY } from "../kernel-constants.ts";
import { type CgroupLayout, directoriesOf, directoryOf } from "./layout.ts";
import { type CgroupWrite, v1DeviceWrites, v1Writes, v2Writes } from "./limits.ts";

const DIRECTORY_MODE = 0o755;

/** Devices every container may use: runc's list (c 1:3 null ... 136:* pts), and making any node without opening it. */
const alwaysAllowed = [
  ["c", -1, -1, "m"],
  ["b", -1, -1, "m"],
  ["c", 1, 3, "rwm"],
  ["c", 1, 8, "rwm"],
  ["c", 1, 7, "rwm"],
  ["c", 5, 0, "rwm"],
  ["c", 1, 5, "rwm"],
  ["c", 1, 9, "rwm"],
  ["c", 136, -1, "rwm"],
  ["c", 5, 2, "rwm"],
] as const;

export interface Limits {
  readonly operations: readonly Operation[];
  readonly warnings: readonly string[];
}

/** Directories and limits, before the process exists. Throws failed-precondition for a limit this host can't set. */
export function createOperations(layout: CgroupLayout, resources: Resources): Limits {
  const warnings: string[] = [];
  const operations = [
    ...directories(layout),
    ...limitOperations(layout, resources, warnings),
    ...deviceOperations(layout, resources, warnings),
  ];
  return { operations, warnings };
}

function directories(layout: CgroupLayout): Operation[] {
  const { host } = layout;
  const cause = "config.json /linux/cgroupsPath";
  const made = directoriesOf(layout).map((path) => operation("mkdirAll", { mode: DIRECTORY_MODE, path }, { cause }));
  const cpuset =
    layout.mode === "v2" ? undefined : layout.hierarchies.find(({ controllers }) => controllers.includes("cpuset"));
  // A new v1 cpuset is empty and takes no process: every level down to ours gets what the root has.
  const fills =
    cpuset === undefined
      ? []
      : levels(cpuset.path).flatMap((path) =>
          (["cpus", "mems"] as const).map((name) =>
            operation(
              "writeFile",
              { flags: O_WRONLY, path: `${cpuset.directory}${path}/cpuset.${name}`, data: host[name] },
              { cause, tolerate: ["EBUSY", "EACCES"] },
            ),
          ),
        );
  const enabled = layout.mode === "v2" && layout.unified ? enableControllers(layout) : [];
  return [...enabled, ...made, ...fills];
}

/** "/a/b" -> ["/a", "/a/b"]. */
function levels(path: string): string[] {
  const parts = path.split("/").filter(Boolean);
  return parts.map((_, i) => `/${parts.slice(0, i + 1).join("/")}`);
}

/** v2: a controller works in a cgroup when every level above passes it on. */
function enableControllers(layout: CgroupLayout): Operation[] {
  const { directory, path } = layout.unified!;
  const above = ["", ...levels(path).slice(0, -1)];
  return above.flatMap((level) => [
    operation("mkdirAll", { mode: DIRECTORY_MODE, path: `${directory}${level}` }, { cause: "cgroup controllers" }),
    ...layout.host.unifiedControllers.map((controller) =>
      operation(
        "writeFile",
        { flags: O_WRONLY, path: `${directory}${level}/cgroup.subtree_control`, data: `+${controller}` },
        { cause: "cgroup controllers", tolerate: ["EBUSY", "ENOENT", "EACCES", "EINVAL", "EOPNOTSUPP"] },
      ),
    ),
  ]);
}

function limitOperations(layout: CgroupLayout, resources: Resources, warnings: string[]): Operation[] {
  const writes = layout.mode === "v2" ? v2Writes(resources) : v1Writes(resources, layout.host.hasSwapAccounting);
  if (layout.mode !== "v2" && (resources.memory?.swap ?? 0) > 0 && !layout.host.hasSwapAccounting) {
    warnings.push(
      "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.",
    );
  }
  return writes.flatMap((write) => writeOperation(layout, write, warnings));
}

function writeOperation(layout: CgroupLayout, write: CgroupWrite, warnings: string[]): Operation[] {
  const directory = directoryOf(layout, write.controller);
  if (directory === undefined) {
    if (write.optional) {
      warnings.push(`this host has no ${write.controller} controller: ${write.file} is not set`);
      return [];
    }
    throw new HullError(
      "failed-precondition",
      `config.json /linux/resources${write.pointer}: this host has no ${write.controller} controller`,
    );
  }
  const options = {
    cause: `config.json /linux/resources${write.pointer}`,
    ...(write.optional ? { tolerate: ["ENOENT", "EACCES", "EINVAL", "EOPNOTSUPP"] as const } : {}),
  };
  return [operation("writeFile", { flags: O_WRONLY, path: `${directory}/${write.file}`, data: write.value }, options)];
}

function deviceOperations(layout: CgroupLayout, resources: Resources, warnings: string[]): Operation[] {
  const directory = directoryOf(layout, "devices");
  const rules = resources.devices;
  if (rules === undefined || rules.length === 0) return [];
  if (layout.mode === "v2" || directory === undefined) {
    warnings.push("device rules are not enforced on this host: it has no v1 devices controller");
    return [];
  }
  const allowed = alwaysAllowed.map(([type, major, minor, access]) => ({ allow: true, type, major, minor, access }));
  const opensAll = rules.some(
    (rule) => rule.allow && (rule.type === undefined || rule.type === "a") && rule.major === undefined,
  );
  return v1DeviceWrites(opensAll ? rules : [...rules, ...allowed]).map(({ file, value, pointer }) =>
    operation(
      "writeFile",
      { flags: O_WRONLY, path: `${directory}/${file}`, data: value },
      { cause: `config.json /linux/resources${pointer}` },
    ),
  );
}

/** In the new process, which is single-threaded: writing 0 to v1's `tasks` takes no global lock. */
export function joinOperations(layout: CgroupLayout): Operation[] {
  return layout.hierarchies.map(({ directory, path }) =>
    operation(
      "writeFile",
      { flags: O_WRONLY, path: `${directory}${path}/tasks`, data: "0" },
      { cause: "join the cgroup" },
    ),
  );
}

/** docker update: only what is named changes. */
export function updateOperations(layout: CgroupLayout, resources: Resources): Operation[] {
  const writes =
    layout.mode === "v2" ? v2Writes(resources) : raiseSwapFirst(v1Writes(resources, layout.host.hasSwapAccounting));
  return writes.flatMap((write) => writeOperation(layout, write, []));
}

/** v1 holds memory <= memory+swap at every moment: the sum is tried before the part, and again after it. */
function raiseSwapFirst(writes: readonly CgroupWrite[]): CgroupWrite[] {
  const swap = writes.find(({ file }) => file === "memory.memsw.limit_in_bytes");
  return swap ? [{ ...swap, optional: true }, ...writes] : [...writes];
}

export function freezeOperations(layout: CgroupLayout, frozen: boolean): Operation[] {
  const freezer = directoryOf(layout, "freezer");
  const cause = frozen ? "pause" : "unpause";
  if (freezer !== undefined) {
    return [
      operation(
        "writeFile",
        { flags: O_WRONLY, path: `${freezer}/freezer.state`, data: frozen ? "FROZEN" : "THAWED" },
        { cause },
      ),
    ];
  }
  const { unified } = layout;
  if (!unified)
    throw new HullError("failed-precondition", "this host has no cgroup freezer: a container can't be paused");
  return [
    operation(
      "writeFile",
      { flags: O_WRONLY, path: `${unified.directory}${unified.path}/cgroup.freeze`, data: frozen ? "1" : "0" },
      { cause },
    ),
  ];
}

/** rmdir of every directory; one that is gone is fine. */
export function removeOperations(layout: CgroupLayout): Operation[] {
  const leaves = directoriesOf(layout).map((path) =>
    operation("rmdir", { path }, { cause: "remove the cgroup", tolerate: ["ENOENT"] }),
  );
  const parents = [...layout.hierarchies, ...(layout.unified ? [layout.unified] : [])].flatMap(
    ({ directory, path }) => {
      const parent = path.slice(0, path.lastIndexOf("/"));
      // The engine's own parent goes with its last container.
      return parent === "/hull"
        ? [
            operation(
              "rmdir",
              { path: `${directory}${parent}` },
              { cause: "remove the cgroup", tolerate: ["ENOENT", "EBUSY", "ENOTEMPTY"] },
            ),
          ]
        : [];
    },
  );
  return [...leaves, ...parents];
}
