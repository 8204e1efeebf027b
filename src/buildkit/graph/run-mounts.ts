/** The --mount flags of RUN: variables put in, checked, defaults filled. */
import { posix } from "node:path";
import { HullError } from "../../platform/errors.ts";
import type { RunInstruction, RunMountFlag } from "../dockerfile/ast.ts";
import { expandIn } from "./expansion.ts";
import { type MountFields, parseMountFields } from "./mount-fields.ts";
import type { StageState, StageWork } from "./stage-state.ts";
import type { RunMount } from "./vertex.ts";

export interface PlannedMounts {
  readonly mounts: readonly RunMount[];
  /** Environment variables that are secrets. */
  readonly masked: readonly string[];
}

export function planMounts(instruction: RunInstruction, state: StageState, work: StageWork): PlannedMounts {
  const mounts: RunMount[] = [];
  for (const flag of instruction.mounts) {
    const fields = parseMountFields(expanded(flag, state, work));
    mounts.push(planMount(fields, { state, work, agents: mounts.filter(({ kind }) => kind === "ssh").length }));
  }
  const masked = mounts.flatMap((mount) => (mount.kind === "secret" && mount.env !== "" ? [mount.env] : []));
  return { mounts, masked };
}

const expanded = (flag: RunMountFlag, state: StageState, work: StageWork): RunMountFlag["fields"] =>
  flag.fields.map(([key, value]) => [key, expandIn(value, state, work)]);

interface Place {
  readonly state: StageState;
  readonly work: StageWork;
  /** ssh mounts before this one. */
  readonly agents: number;
}

const bad = (message: string): HullError => new HullError("invalid-argument", message);

function planMount(fields: MountFields, place: Place): RunMount {
  switch (fields.type) {
    case "bind":
      return planBind(fields, place);
    case "cache":
      return planCache(fields, place);
    case "tmpfs":
      return { kind: "tmpfs", target: targetOf(fields, place), sizeBytes: fields.sizeBytes };
    case "secret":
      return planSecret(fields);
    case "ssh":
      return planSsh(fields, place.agents);
  }
}

function planBind(fields: MountFields, { state, work, agents }: Place): RunMount {
  const target = targetOf(fields, { state, work, agents });
  const from =
    fields.from === "" ? work.contexts.vertex("context") : work.source(fields.from, { what: "mount", target });
  work.contexts.note(from, fields.source);
  return { kind: "bind", from, source: rooted(fields.source), target, writable: !fields.readOnly };
}

function planCache(fields: MountFields, place: Place): RunMount {
  const target = targetOf(fields, place);
  const { work } = place;
  const from = fields.from === "" ? undefined : work.source(fields.from, { what: "mount", target });
  if (from) work.contexts.note(from, fields.source);
  const id = fields.id === "" ? posix.normalize(fields.target) : fields.id;
  const namespace = work.request.buildArgs.BUILDKIT_CACHE_MOUNT_NS ?? "";
  return {
    kind: "cache",
    id: `${namespace}/${id}`,
    from,
    source: rooted(fields.source),
    target,
    sharing: fields.sharing ?? "shared",
    readOnly: fields.readOnly,
    mode: fields.mode ?? 0o755,
    uid: fields.uid ?? 0,
    gid: fields.gid ?? 0,
  };
}

function planSecret(fields: MountFields): RunMount {
  const id = fields.source || fields.id || posix.basename(fields.target);
  const byDefault = fields.env === undefined ? `/run/secrets/${posix.basename(id)}` : "";
  return {
    kind: "secret",
    id,
    target: fields.target || byDefault,
    env: fields.env ?? "",
    required: fields.required,
    mode: fields.mode ?? 0o400,
    uid: fields.uid ?? 0,
    gid: fields.gid ?? 0,
  };
}

function planSsh(fields: MountFields, agents: number): RunMount {
  if (fields.source !== "") throw bad("ssh does not support source");
  return {
    kind: "ssh",
    id: fields.id || "default",
    target: fields.target || `/run/buildkit/ssh_agent.${agents}`,
    required: fields.required,
    mode: fields.mode ?? 0o600,
    uid: fields.uid ?? 0,
    gid: fields.gid ?? 0,
  };
}

function targetOf({ target }: MountFields, { state }: Place): string {
  const absolute = posix.resolve("/", state.config.workingDirectory, target);
  if (absolute === "/") throw bad(`invalid mount target "${target}"`);
  return absolute;
}

const rooted = (path: string): string => posix.join("/", path);
