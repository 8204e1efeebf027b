import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { defaultPath } from "../../../oci/default-spec.ts";
import { HullError } from "../../../platform/errors.ts";
import type { CliCommand } from "../context.ts";
import { isOn, text } from "../flags.ts";

const capabilities = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
const closed = ["nosuid", "noexec", "nodev"];

const mounts = [
  { destination: "/proc", type: "proc", source: "proc" },
  {
    destination: "/dev",
    type: "tmpfs",
    source: "tmpfs",
    options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
  },
  {
    destination: "/dev/pts",
    type: "devpts",
    source: "devpts",
    options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
  },
  { destination: "/dev/shm", type: "tmpfs", source: "shm", options: [...closed, "mode=1777", "size=65536k"] },
  { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: closed },
  { destination: "/sys", type: "sysfs", source: "sysfs", options: [...closed, "ro"] },
  { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: [...closed, "relatime", "ro"] },
];

/** The example that `spec` writes: a shell in namespaces of its own. */
export function exampleSpec(): object {
  return {
    ociVersion: "1.2.0",
    process: {
      terminal: true,
      user: { uid: 0, gid: 0 },
      args: ["sh"],
      env: [defaultPath, "TERM=xterm"],
      cwd: "/",
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
      rlimits: [{ type: "RLIMIT_NOFILE", hard: 1024, soft: 1024 }],
      noNewPrivileges: true,
    },
    root: { path: "rootfs", readonly: true },
    hostname: "runc",
    mounts,
    linux: {
      resources: { devices: [{ allow: false, access: "rwm" }] },
      namespaces: ["pid", "network", "ipc", "uts", "mount", "cgroup"].map((type) => ({ type })),
      maskedPaths: [
        "/proc/acpi",
        "/proc/asound",
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/timer_list",
        "/proc/timer_stats",
        "/proc/sched_debug",
        "/sys/firmware",
        "/proc/scsi",
      ],
      readonlyPaths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
    },
  };
}

export const command: CliCommand = {
  usage: "spec [command options]",
  about: "create a new specification file",
  flags: { bundle: { kind: "text", aliases: ["b"] }, rootless: { kind: "switch" } },
  arguments: [0, 0],
  async run({ flags }) {
    if (isOn(flags, "rootless"))
      throw new HullError("unimplemented", "spec --rootless is not supported: this runtime runs as root");
    const path = join(text(flags, "bundle") ?? ".", "config.json");
    if (existsSync(path)) throw new HullError("already-exists", `File config.json exists. Remove it first`);
    writeFileSync(path, `${JSON.stringify(exampleSpec(), undefined, "\t")}\n`, { mode: 0o666 });
    return 0;
  },
};
