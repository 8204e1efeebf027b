/**
 * config.json of the OCI runtime-spec (1.3, config.md and config-linux.md) for Linux: shapes that check it once, and their types. Two
 * additions of ours: `process.user.username` with `additionalGroups` is looked up inside the container ("name|uid[:group|gid]").
 */
import {
  filledText,
  flag,
  list,
  type Node,
  oneOf,
  optional,
  orElse,
  parseDocument,
  type Read,
  type Reader,
  refuse,
  shape,
  table,
  text,
  u32,
  u64,
  whole,
} from "./json-shape.ts";
import { linux } from "./runtime-spec-linux.ts";

const absolute: Reader<string> = (node) => {
  const path = filledText(node);
  if (!path.startsWith("/")) throw refuse(node, `"${path}" is not an absolute path`);
  return path;
};

const id = whole(0, 0x7fffffff);

const user = shape({
  uid: orElse(id, 0),
  gid: orElse(id, 0),
  umask: optional(whole(0, 0o7777)),
  additionalGids: list(id),
  username: optional(text),
  additionalGroups: list(filledText),
});

/** "RLIMIT_CORE" and so on; the kernel's numbers stand in src/runc. */
const rlimit = shape({ type: filledText, soft: u64, hard: u64 });

const capabilitySets = shape({
  bounding: list(text),
  effective: list(text),
  inheritable: list(text),
  permitted: list(text),
  ambient: list(text),
});

const size = whole(0, 0xffff);

/** `process` of config.json, and process.json of an exec. */
export const processShape = shape({
  terminal: orElse(flag, false),
  consoleSize: optional(shape({ height: size, width: size })),
  user: orElse(user, {
    uid: 0,
    gid: 0,
    umask: undefined,
    additionalGids: [],
    username: undefined,
    additionalGroups: [],
  }),
  args: list(text),
  env: list(text),
  cwd: absolute,
  capabilities: optional(capabilitySets),
  rlimits: list(rlimit),
  noNewPrivileges: orElse(flag, false),
  apparmorProfile: orElse(text, ""),
  selinuxLabel: orElse(text, ""),
  oomScoreAdj: optional(whole(-1000, 1000)),
  scheduler: optional(
    shape({
      policy: oneOf(
        "SCHED_OTHER",
        "SCHED_BATCH",
        "SCHED_IDLE",
        "SCHED_FIFO",
        "SCHED_RR",
        "SCHED_ISO",
        "SCHED_DEADLINE",
      ),
      nice: orElse(whole(-20, 19), 0),
      priority: orElse(whole(0, 99), 0),
      flags: list(text),
      runtime: orElse(u64, 0n),
      deadline: orElse(u64, 0n),
      period: orElse(u64, 0n),
    }),
  ),
  ioPriority: optional(
    shape({
      class: oneOf("IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"),
      priority: orElse(whole(0, 7), 0),
    }),
  ),
  execCPUAffinity: optional(shape({ initial: orElse(text, ""), final: orElse(text, "") })),
});

const idMapping = shape({ containerID: u32, hostID: u32, size: u32 });

const mount = shape({
  destination: filledText,
  type: orElse(text, ""),
  source: orElse(text, ""),
  options: list(text),
  uidMappings: list(idMapping),
  gidMappings: list(idMapping),
});

const hook = shape({ path: absolute, args: list(text), env: list(text), timeout: optional(whole(1)) });

const hooks = shape({
  prestart: list(hook),
  createRuntime: list(hook),
  createContainer: list(hook),
  startContainer: list(hook),
  poststart: list(hook),
  poststop: list(hook),
});

const noHooks: Read<typeof hooks> = {
  prestart: [],
  createRuntime: [],
  createContainer: [],
  startContainer: [],
  poststart: [],
  poststop: [],
};

const major = /^1\.\d+\.\d+/;
const version: Reader<string> = (node) => {
  const value = filledText(node);
  if (!major.test(value)) throw refuse(node, `version "${value}" of the specification is not supported: 1.x is`);
  return value;
};

const config = shape({
  ociVersion: version,
  process: optional(processShape),
  root: shape({ path: filledText, readonly: orElse(flag, false) }),
  hostname: orElse(text, ""),
  domainname: orElse(text, ""),
  mounts: list(mount),
  hooks: orElse(hooks, noHooks),
  annotations: table(text),
  linux: orElse(linux, linux({ value: {}, at: "/linux", document: "" })),
});

export type RuntimeSpec = Read<typeof config>;
export type SpecProcess = Read<typeof processShape>;
export type SpecMount = Read<typeof mount>;
export type SpecHook = Read<typeof hook>;
export type SpecHooks = Read<typeof hooks>;
export type { SpecDevice, SpecLinux, SpecNamespace, SpecResources, SpecSeccomp } from "./runtime-spec-linux.ts";

function nonEmptyArguments(process: SpecProcess, at: string, document: string): SpecProcess {
  const node = (key: string): Node => ({ value: undefined, at: `${at}/${key}`, document });
  if (process.args.length === 0) throw refuse(node("args"), "is empty: there is nothing to run");
  return process;
}

/** config.json, checked. Throws `invalid-argument` with a JSON pointer. */
export function parseRuntimeSpec(source: string | Uint8Array, document = "config.json"): RuntimeSpec {
  const spec = parseDocument(source, document, config);
  if (spec.process) nonEmptyArguments(spec.process, "/process", document);
  return spec;
}

/** process.json of an exec, checked. */
export const parseProcess = (source: string | Uint8Array, document = "process.json"): SpecProcess =>
  nonEmptyArguments(parseDocument(source, document, processShape), "", document);
