/** config.json -> the operations that make its container: cgroups on the host's side, the stage from opening over `clone` to execve. Pure. */
import { isAbsolute, join } from "node:path";
import { type Operation, operation } from "../../keel/plan.ts";
import type { RuntimeSpec } from "../../oci/runtime-spec.ts";
import { HullError } from "../../platform/errors.ts";
import { enterCgroups, makeCgroups } from "../cgroup/make.ts";
import { type CgroupPlace, cgroupPlace } from "../cgroup/place.ts";
import { resourceOperations } from "../cgroup/resources.ts";
import type { HostFacts } from "../host-facts.ts";
import { compileHooks } from "./hooks.ts";
import { compileMounts } from "./mounts.ts";
import { hasUserNamespace, makeCgroupNamespace, type NamespacePlan, planNamespaces, sysctlPath } from "./namespaces.ts";
import { type ProcessContext, processSteps, session } from "./process.ts";
import { closeRoot, devices, enterRoot, openPlainRoot, openRoot } from "./rootfs.ts";
import { SLOT } from "./slots.ts";

export interface ContainerRequest {
  readonly facts: HostFacts;
  readonly spec: RuntimeSpec;
  readonly id: string;
  readonly bundle: string;
  /** Namespaces that whoever starts the plan has entered already (pause: network, uts). */
  readonly inherited: ReadonlySet<string>;
  /** How the new process waits for its start. */
  readonly wait: readonly Operation[];
  /** Done in the new mount namespace, which the host no longer sees, before the root is opened: the root may be mounted here. */
  readonly ground?: readonly Operation[];
  /** Mounts after those of the spec, in the root (open in SLOT.root), before it is entered. SLOT.mount is free. */
  readonly inside?: readonly Operation[];
  readonly noPivot?: boolean;
  /** The session keyring of the caller is kept. */
  readonly noNewKeyring?: boolean;
  readonly preservedFds?: number;
}

export interface CompiledContainer {
  readonly host: readonly Operation[];
  readonly stage: readonly Operation[];
  readonly place: CgroupPlace;
  readonly warnings: readonly string[];
}

/** Throws invalid-argument with a JSON pointer. */
export function compileContainer(request: ContainerRequest): CompiledContainer {
  const { facts, spec, id } = request;
  if (!spec.process)
    throw new HullError("invalid-argument", "config.json /process: is missing: there is nothing to run");
  refuseUnsupported(spec);
  const warnings: string[] = [];
  const place = cgroupPlace(facts.cgroups, spec.linux.cgroupsPath, id);
  const namespaces = planNamespaces(spec, request);
  const host = [
    ...makeCgroups(facts, place),
    ...resourceOperations({ facts, place, warnings, document: "config.json /linux/resources" }, spec.linux.resources),
  ];
  const stage = stageOperations(request, { place, namespaces, warnings });
  return { host, stage, place, warnings };
}

interface Parts {
  readonly place: CgroupPlace;
  readonly namespaces: NamespacePlan;
  readonly warnings: string[];
}

/** What would be left out silently otherwise. */
function refuseUnsupported({ linux }: RuntimeSpec): void {
  const refuse = (key: string, why: string): never => {
    throw new HullError("unimplemented", `config.json /linux/${key}: ${why}`);
  };
  if (linux.intelRdt) refuse("intelRdt", "intelRdt is specified in config, but Intel RDT is not supported");
  if (linux.memoryPolicy) refuse("memoryPolicy", "memory policies are not supported");
  if (linux.netDevices) refuse("netDevices", "moving network devices is not supported");
  if (linux.mountLabel !== "")
    refuse("mountLabel", "selinux label is specified in config, but selinux is disabled or not supported");
}

function stageOperations(request: ContainerRequest, { place, namespaces, warnings }: Parts): Operation[] {
  const { facts, spec, bundle, inherited } = request;
  const inUser = hasUserNamespace(namespaces);
  const entry = enterCgroups(place, { slot: SLOT.cgroup, handles: inUser });
  const mounts = compileMounts(
    {
      bundle,
      opensEarly: inUser,
      bindsSysfs: inUser && !namespaces.made.has("network") && !inherited.has("network"),
      cgroups: facts.cgroups,
      place,
      ownCgroupNamespace: namespaces.own.has("cgroup"),
    },
    spec.mounts,
  );
  const context: ProcessContext = {
    facts,
    at: "config.json /process",
    linux: spec.linux,
    warnings,
    bindConsole: true,
    makesDirectory: true,
    preservedFds: request.preservedFds ?? 0,
  };
  const { prepare, run } = processSteps(spec.process!, context);
  const hooks = compileHooks(request);
  const clone = {
    flags: namespaces.cloneFlags,
    cgroupSlot: entry.slot,
    uidMap: namespaces.uidMap,
    gidMap: namespaces.gidMap,
  };
  return [
    ...entry.before,
    ...mounts.early,
    ...namespaces.before,
    operation("clone", clone, { cause: "config.json /linux/namespaces", subject: [...namespaces.made].join(" ") }),
    ...entry.after,
    ...makeCgroupNamespace(namespaces),
    ...(namespaces.made.has("network")
      ? [operation("linkUp", { name: "lo" }, { cause: "a new network namespace" })]
      : []),
    ...rootOperations(request, namespaces, [
      ...mounts.mounts,
      ...devices(spec, { bindsNodes: inUser }),
      ...mounts.closing,
      ...(request.inside ?? []),
      ...hooks.beforePivot,
    ]),
    ...session(spec.process!, context),
    ...names(spec),
    ...sysctls(spec),
    ...closeRoot(spec),
    ...(request.noNewKeyring
      ? []
      : [operation("keyring", { name: `_ses.${request.id}` }, { cause: "session keyring" })]),
    ...prepare,
    ...request.wait,
    ...hooks.beforeProgram,
    ...run,
  ];
}

function rootOperations(
  request: ContainerRequest,
  namespaces: NamespacePlan,
  inside: readonly Operation[],
): Operation[] {
  const { spec, bundle, noPivot, facts, ground = [] } = request;
  const root = isAbsolute(spec.root.path) ? spec.root.path : join(bundle, spec.root.path);
  if (!namespaces.made.has("mount")) {
    if (spec.mounts.length > 0)
      throw new HullError("invalid-argument", "config.json /mounts: can't be made without a new mount namespace");
    return [...openPlainRoot(root), ...enterRoot(root, "chroot")];
  }
  return [
    ...openRoot(root, spec, { parentMount: sharedParent(facts, spec, root), ground }),
    ...inside,
    ...enterRoot(root, noPivot ? "move" : "pivot"),
  ];
}

/** The mount that holds the root, where mounts stay shared with the host: only then can it be in the way of pivot_root. */
function sharedParent(facts: HostFacts, spec: RuntimeSpec, root: string): string | undefined {
  if (!/^r?shared$/.test(spec.linux.rootfsPropagation)) return undefined;
  const points = (facts.readText("/proc/self/mountinfo") ?? "").split("\n").flatMap((line) => line.split(" ")[4] ?? []);
  const holders = points.filter((point) => point === "/" || root === point || root.startsWith(`${point}/`));
  return holders.sort((a, b) => b.length - a.length)[0];
}

function names({ hostname, domainname }: RuntimeSpec): Operation[] {
  return [
    ...(hostname === "" ? [] : [operation("sethostname", { name: hostname }, { cause: "config.json /hostname" })]),
    ...(domainname === ""
      ? []
      : [operation("setdomainname", { name: domainname }, { cause: "config.json /domainname" })]),
  ];
}

const sysctls = ({ linux }: RuntimeSpec): Operation[] =>
  Object.entries(linux.sysctl).map(([name, value]) =>
    operation("sysctl", { name: sysctlPath(name), value }, { cause: `config.json /linux/sysctl/${name}` }),
  );
