/**
 * The OCI runtime specification's config.json (https://github.com/opencontainers/runtime-spec, 1.2): types and parser of what Linux
 * containers use.
 */
import { flag, integer, list, object, parseJson, record, type Shape, text, unsigned } from "./json-shape.ts";

const rlimit = object({ type: text, hard: unsigned, soft: unsigned }, {});

const capabilities = object(
  {},
  { bounding: list(text), effective: list(text), inheritable: list(text), permitted: list(text), ambient: list(text) },
);

/** `username` and `additionalGroups` (names) are ours: resolved inside the container (see dockerd's spec). */
const user = object(
  {},
  {
    uid: unsigned,
    gid: unsigned,
    umask: unsigned,
    additionalGids: list(unsigned),
    username: text,
    additionalGroups: list(text),
  },
);

const scheduler = object(
  { policy: text },
  { nice: integer, priority: integer, flags: list(text), runtime: unsigned, deadline: unsigned, period: unsigned },
);

const process = object(
  { cwd: text },
  {
    terminal: flag,
    consoleSize: object({ height: unsigned, width: unsigned }, {}),
    user,
    args: list(text),
    env: list(text),
    capabilities,
    rlimits: list(rlimit),
    noNewPrivileges: flag,
    apparmorProfile: text,
    selinuxLabel: text,
    oomScoreAdj: integer,
    scheduler,
    ioPriority: object({ class: text }, { priority: integer }),
  },
);

const mount = object({ destination: text }, { type: text, source: text, options: list(text) });
const hook = object({ path: text }, { args: list(text), env: list(text), timeout: unsigned });
const hooks = object(
  {},
  {
    prestart: list(hook),
    createRuntime: list(hook),
    createContainer: list(hook),
    startContainer: list(hook),
    poststart: list(hook),
    poststop: list(hook),
  },
);

const device = object(
  { type: text, path: text },
  { major: integer, minor: integer, fileMode: unsigned, uid: unsigned, gid: unsigned },
);
const deviceRule = object({ allow: flag }, { type: text, major: integer, minor: integer, access: text });
const throttle = object({ major: integer, minor: integer, rate: unsigned }, {});

const resources = object(
  {},
  {
    devices: list(deviceRule),
    memory: object(
      {},
      {
        limit: integer,
        reservation: integer,
        swap: integer,
        kernel: integer,
        kernelTCP: integer,
        swappiness: unsigned,
        disableOOMKiller: flag,
      },
    ),
    cpu: object(
      {},
      {
        shares: unsigned,
        quota: integer,
        burst: unsigned,
        period: unsigned,
        realtimeRuntime: integer,
        realtimePeriod: unsigned,
        cpus: text,
        mems: text,
        idle: integer,
      },
    ),
    pids: object({ limit: integer }, {}),
    blockIO: object(
      {},
      {
        weight: unsigned,
        leafWeight: unsigned,
        weightDevice: list(object({ major: integer, minor: integer }, { weight: unsigned, leafWeight: unsigned })),
        throttleReadBpsDevice: list(throttle),
        throttleWriteBpsDevice: list(throttle),
        throttleReadIOPSDevice: list(throttle),
        throttleWriteIOPSDevice: list(throttle),
      },
    ),
    hugepageLimits: list(object({ pageSize: text, limit: unsigned }, {})),
    unified: record(text),
  },
);

const seccompArgument = object({ index: unsigned, value: unsigned, op: text }, { valueTwo: unsigned });
const seccompRule = object({ names: list(text), action: text }, { errnoRet: unsigned, args: list(seccompArgument) });
export const seccompShape = object(
  { defaultAction: text },
  {
    defaultErrnoRet: unsigned,
    architectures: list(text),
    flags: list(text),
    listenerPath: text,
    listenerMetadata: text,
    syscalls: list(seccompRule),
  },
);

const linux = object(
  {},
  {
    namespaces: list(object({ type: text }, { path: text })),
    uidMappings: list(object({ containerID: unsigned, hostID: unsigned, size: unsigned }, {})),
    gidMappings: list(object({ containerID: unsigned, hostID: unsigned, size: unsigned }, {})),
    devices: list(device),
    cgroupsPath: text,
    resources,
    rootfsPropagation: text,
    seccomp: seccompShape,
    sysctl: record(text),
    maskedPaths: list(text),
    readonlyPaths: list(text),
    mountLabel: text,
    personality: object({ domain: text }, { flags: list(text) }),
  },
);

const spec = object(
  { ociVersion: text },
  {
    process,
    root: object({ path: text }, { readonly: flag }),
    hostname: text,
    domainname: text,
    mounts: list(mount),
    hooks,
    linux,
    annotations: record(text),
  },
);

type Of<S> = S extends Shape<infer T> ? T : never;

export type RuntimeSpec = Of<typeof spec>;
export type Process = Of<typeof process>;
export type User = Of<typeof user>;
export type SpecMount = Of<typeof mount>;
export type Device = Of<typeof device>;
export type DeviceRule = Of<typeof deviceRule>;
export type Resources = Of<typeof resources>;
export type Linux = Of<typeof linux>;
export type Hook = Of<typeof hook>;
export type Hooks = Of<typeof hooks>;
export type LinuxSeccomp = Of<typeof seccompShape>;
export type SeccompRule = Of<typeof seccompRule>;

/** config.json. Throws invalid-argument with a JSON pointer. */
export const parseRuntimeSpec = (json: string | Uint8Array): RuntimeSpec => parseJson("config.json", json, spec);

/** process.json of an exec. */
export const parseProcess = (json: string | Uint8Array): Process => parseJson("process.json", json, process);

/** linux.resources of an update. */
export const parseResources = (json: string | Uint8Array): Resources => parseJson("resources", json, resources);
