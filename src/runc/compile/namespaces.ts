/** Namespaces: which the new process makes with `clone`, which it joins, and what config.json may not ask for without them. Pure. */
import { type Operation, operation } from "../../keel/plan.ts";
import type { RuntimeSpec, SpecLinux } from "../../oci/runtime-spec.ts";
import { HullError } from "../../platform/errors.ts";
import { CLONE_NEWCGROUP, CLONE_NEWTIME, CLONE_NEWUSER, cloneFlagOf, O_RDONLY, O_WRONLY } from "../kernel-constants.ts";
import { SLOT } from "./slots.ts";

type NamespaceType = SpecLinux["namespaces"][number]["type"];

export interface NamespacePlan {
  /** Types of the spec, made or joined. */
  readonly own: ReadonlySet<NamespaceType>;
  readonly made: ReadonlySet<NamespaceType>;
  /** Before `clone`: opening and joining by path, time offsets. */
  readonly before: readonly Operation[];
  readonly cloneFlags: number;
  readonly uidMap: string;
  readonly gidMap: string;
}

export interface NamespaceContext {
  /** Already entered by whoever starts the plan (pause): neither made nor joined here. */
  readonly inherited: ReadonlySet<string>;
}

export function planNamespaces(spec: RuntimeSpec, { inherited }: NamespaceContext): NamespacePlan {
  const { namespaces, uidMappings, gidMappings } = spec.linux;
  const own = new Set(namespaces.map(({ type }) => type));
  if (own.size !== namespaces.length) refuse("/linux/namespaces", "a namespace is named twice");
  const here = namespaces.filter(({ type }) => !inherited.has(type));
  const made = new Set(here.filter(({ path }) => path === "").map(({ type }) => type));
  check(spec, own, made);
  const joined = here
    .map((one, i) => ({ ...one, at: `config.json /linux/namespaces/${i}` }))
    .filter(({ path }) => path !== "");
  // The user namespace last: it takes away the right to enter the others.
  const ordered = [...joined].sort((a, b) => Number(a.type === "user") - Number(b.type === "user"));
  const opens = ordered.map(({ path, at }, i) =>
    operation("open", { slot: SLOT.namespaces + i, flags: O_RDONLY, path }, { cause: at }),
  );
  const enters = ordered.map(({ type, path, at }, i) =>
    operation(
      "setns",
      { slot: SLOT.namespaces + i, nstype: cloneFlagOf[type]! },
      { cause: at, subject: `${type} ${path}` },
    ),
  );
  // The cgroup namespace is made once the process is in its cgroup; a time namespace takes its offsets before anyone is in it.
  const flags = [...made]
    .filter((type) => type !== "cgroup" && type !== "time")
    .reduce((bits, type) => bits | cloneFlagOf[type]!, 0);
  return {
    own,
    made,
    before: [...opens, ...enters, ...(made.has("time") ? timeNamespace(spec.linux) : [])],
    cloneFlags: flags,
    uidMap: made.has("user") ? mapLines(uidMappings) : "",
    gidMap: made.has("user") ? mapLines(gidMappings) : "",
  };
}

const mapLines = (mappings: SpecLinux["uidMappings"]): string =>
  mappings.map(({ containerID, hostID, size }) => `${containerID} ${hostID} ${size}\n`).join("");

function timeNamespace({ timeOffsets }: SpecLinux): Operation[] {
  const cause = "config.json /linux/timeOffsets";
  const lines = Object.entries(timeOffsets).map(([clock, { secs, nanosecs }]) => `${clock} ${secs} ${nanosecs}\n`);
  const unshare = operation("unshare", { flags: CLONE_NEWTIME }, { cause, subject: "time" });
  if (lines.length === 0) return [unshare];
  const path = "/proc/self/timens_offsets";
  return [unshare, operation("writeFile", { path, data: lines.join(""), flags: O_WRONLY }, { cause })];
}

/** Once it is in its cgroups. */
export const makeCgroupNamespace = (plan: NamespacePlan): Operation[] =>
  plan.made.has("cgroup")
    ? [operation("unshare", { flags: CLONE_NEWCGROUP }, { cause: "config.json /linux/namespaces", subject: "cgroup" })]
    : [];

/** For setns on the pidfd of a container's init: everything that is its own. */
export const joinMask = (spec: RuntimeSpec): number =>
  spec.linux.namespaces.reduce((bits, { type }) => bits | cloneFlagOf[type]!, 0);

export const hasUserNamespace = (plan: NamespacePlan): boolean =>
  (plan.cloneFlags & CLONE_NEWUSER) !== 0 || plan.own.has("user");

function refuse(pointer: string, problem: string): never {
  throw new HullError("invalid-argument", `config.json ${pointer}: ${problem}`, { facts: { pointer } });
}

function check(spec: RuntimeSpec, own: ReadonlySet<NamespaceType>, made: ReadonlySet<NamespaceType>): void {
  if (spec.hostname !== "" && !own.has("uts"))
    refuse("/hostname", "unable to set hostname without a private UTS namespace");
  if (spec.domainname !== "" && !own.has("uts"))
    refuse("/domainname", "unable to set domainname without a private UTS namespace");
  const { uidMappings, gidMappings, timeOffsets, sysctl } = spec.linux;
  const maps = uidMappings.length > 0 || gidMappings.length > 0;
  if (maps && !own.has("user"))
    refuse("/linux/uidMappings", "user namespace mappings specified, but user namespace isn't enabled in the config");
  if (made.has("user") && (uidMappings.length === 0 || gidMappings.length === 0))
    refuse("/linux/namespaces", "user namespace enabled, but no uid or gid mappings specified");
  if (Object.keys(timeOffsets).length > 0 && !made.has("time"))
    refuse("/linux/timeOffsets", "need a time namespace of their own");
  for (const name of Object.keys(sysctl)) checkSysctl(name, own);
}

const ipcNames = new Set(
  ["msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced"].map(
    (name) => `kernel.${name}`,
  ),
);

/** "net/ipv4/ip_forward" and "net.ipv4.ip_forward" are the same; the separator that comes first decides. */
const dotted = (name: string): string =>
  /^[^./]*\//.test(name) ? name.replace(/[./]/g, (separator) => (separator === "/" ? "." : "/")) : name;

/** As a path below /proc/sys. */
export const sysctlPath = (name: string): string =>
  dotted(name).replace(/[./]/g, (separator) => (separator === "." ? "/" : "."));

/** Only what belongs to a namespace of the container. */
function checkSysctl(name: string, own: ReadonlySet<NamespaceType>): void {
  const dots = dotted(name);
  const pointer = `/linux/sysctl/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`;
  if (dots.split(/[./]/).some((part) => part === "" || part === "..")) refuse(pointer, "is no name of a sysctl");
  const ok =
    (own.has("ipc") && (ipcNames.has(dots) || dots.startsWith("fs.mqueue."))) ||
    (own.has("network") && dots.startsWith("net.")) ||
    (own.has("uts") && dots === "kernel.domainname") ||
    (own.has("user") && dots.startsWith("user."));
  if (ok) return;
  if (dots.startsWith("net.")) refuse(pointer, `sysctl "${name}" not allowed in host network namespace`);
  if (ipcNames.has(dots) || dots.startsWith("fs.mqueue."))
    refuse(pointer, `sysctl "${name}" is not allowed in the hosts ipc namespace`);
  refuse(pointer, `sysctl "${name}" is not in a separate kernel namespace`);
}
