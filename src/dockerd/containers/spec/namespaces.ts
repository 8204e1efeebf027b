/** Which namespaces a container gets of its own, and which it joins. Pure but for the look-up of joined containers. */
import { HullError } from "../../../platform/errors.ts";
import { containerOf } from "../create/verify-modes.ts";
import { type ContainerRecord, shortId } from "../record.ts";
import { isActive } from "../state.ts";

export interface Namespace {
  readonly type: "pid" | "network" | "mount" | "ipc" | "uts" | "cgroup";
  readonly path?: string;
}

export interface NamespaceFacts {
  readonly execRoot: string;
  /** Throws not-found. */
  readonly lookUp: (reference: string) => ContainerRecord;
}

export function namespacesOf(record: ContainerRecord, facts: NamespaceFacts): Namespace[] {
  const { hostConfig: host } = record;
  return [
    { type: "mount" },
    ...networkOf(record, facts),
    ...(host.UTSMode === "host" ? [] : [{ type: "uts" as const }]),
    ...sharedOf("pid", host.PidMode, facts),
    ...sharedOf("ipc", host.IpcMode, facts),
    ...(host.CgroupnsMode === "host" ? [] : [{ type: "cgroup" as const }]),
  ];
}

/** Where a container's network namespace is bound. */
export const netnsPath = (execRoot: string, id: string): string => `${execRoot}/netns/${id}`;

function networkOf(record: ContainerRecord, facts: NamespaceFacts): Namespace[] {
  const mode = record.hostConfig.NetworkMode;
  if (mode === "host") return [];
  const joined = containerOf(mode);
  if (joined === undefined) return [{ type: "network", path: netnsPath(facts.execRoot, record.id) }];
  const other = facts.lookUp(joined);
  return other.hostConfig.NetworkMode === "host"
    ? []
    : [{ type: "network", path: netnsPath(facts.execRoot, other.id) }];
}

function sharedOf(type: "pid" | "ipc", mode: string, facts: NamespaceFacts): Namespace[] {
  if (mode === "host") return [];
  const joined = containerOf(mode);
  if (joined === undefined) return [{ type }];
  return [{ type, path: `/proc/${pidOf(joined, type, facts)}/ns/${type}` }];
}

/** The process of a joined container. 0 before it runs: the specification is made anew at each start. Throws conflict at a start. */
function pidOf(reference: string, type: string, facts: NamespaceFacts): number {
  const other = facts.lookUp(reference);
  if (type === "ipc" && !["shareable", "host", "private"].includes(other.hostConfig.IpcMode))
    throw new HullError(
      "invalid-argument",
      `cannot join IPC namespace of container ${other.id}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)`,
    );
  return isActive(other.state) ? other.state.pid : 0;
}

/** Before a start: what is joined must run. Throws conflict in Docker's words. */
export function verifyJoined(record: ContainerRecord, facts: NamespaceFacts): void {
  const { NetworkMode, PidMode, IpcMode } = record.hostConfig;
  const words = [
    [NetworkMode, "cannot join network of a non running container: "],
    [PidMode, "cannot join PID of a non running container: "],
    [IpcMode, "cannot join IPC of a non running container: "],
  ] as const;
  for (const [mode, text] of words) {
    const reference = containerOf(mode);
    if (reference === undefined) continue;
    const other = facts.lookUp(reference);
    if (!isActive(other.state)) throw new HullError("conflict", `${text}${other.id}`);
    if (other.id === record.id) throw new HullError("conflict", `container ${shortId(record.id)} can't join itself`);
  }
  const donor = containerOf(IpcMode);
  if (donor !== undefined && facts.lookUp(donor).hostConfig.IpcMode === "private")
    throw new HullError(
      "invalid-argument",
      `cannot join IPC of container ${facts.lookUp(donor).id}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)`,
    );
}
