import { allCapabilities } from "../../../oci/capabilities.ts";
import { writeText } from "../../../platform/standard-output.ts";
import type { CliCommand } from "../context.ts";

const hooks = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
const attributes = [
  "ro",
  "rw",
  "nosuid",
  "suid",
  "nodev",
  "dev",
  "noexec",
  "exec",
  "noatime",
  "atime",
  "nodiratime",
  "diratime",
].concat(["relatime", "norelatime", "strictatime", "nostrictatime", "nosymfollow", "symfollow"]);
const propagation = ["private", "shared", "slave", "unbindable"];
const mountOptions = [
  ...["bind", "rbind", "remount", "defaults", "tmpcopyup", "async", "sync", "dirsync", "lazytime", "nolazytime"],
  ...attributes,
  ...attributes.map((name) => `r${name}`),
  ...propagation,
  ...propagation.map((name) => `r${name}`),
].sort();

const seccomp = {
  enabled: true,
  actions: ["KILL", "KILL_PROCESS", "KILL_THREAD", "TRAP", "ERRNO", "TRACE", "LOG", "ALLOW", "NOTIFY"].map(
    (name) => `SCMP_ACT_${name}`,
  ),
  operators: ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"].map((name) => `SCMP_CMP_${name}`),
  archs: ["AARCH64", "ARM", "X32", "X86", "X86_64"].map((name) => `SCMP_ARCH_${name}`),
  knownFlags: ["TSYNC", "LOG", "SPEC_ALLOW", "WAIT_KILLABLE_RECV"].map((name) => `SECCOMP_FILTER_FLAG_${name}`),
};

/** features.md of the runtime-spec. */
export const command: CliCommand = {
  usage: "features",
  about: "show the enabled features",
  flags: {},
  arguments: [0, 0],
  async run() {
    const features = {
      ociVersionMin: "1.0.0",
      ociVersionMax: "1.3.0",
      hooks,
      mountOptions,
      linux: {
        namespaces: ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"],
        capabilities: allCapabilities,
        cgroup: { v1: true, v2: true, systemd: false, systemdUser: false, rdma: true },
        seccomp,
        apparmor: { enabled: true },
        selinux: { enabled: true },
        intelRdt: { enabled: false },
        mountExtensions: { idmap: { enabled: false } },
        netDevices: { enabled: false },
        memoryPolicy: {},
      },
    };
    await writeText("stdout", `${JSON.stringify(features, undefined, 4)}\n`);
    return 0;
  },
};
