/** What this machine is, read once at start-up: nothing here changes while it runs. */
import { existsSync, readFileSync, statSync } from "node:fs";
import os from "node:os";
import { hostPlatform } from "../../oci/platform.ts";
import { builtFile } from "../../platform/paths.ts";

export interface HostFacts {
  readonly kernelVersion: string;
  /** "Debian GNU/Linux 12 (bookworm)" */
  readonly operatingSystem: string;
  readonly osVersion: string;
  /** uname's: x86_64. */
  readonly machine: string;
  /** Go's: amd64. */
  readonly arch: string;
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly hostname: string;
  /** RFC 3339. */
  readonly buildTime: string;
  readonly cgroup: CgroupFacts;
}

export interface CgroupFacts {
  readonly version: "1" | "2";
  readonly memoryLimit: boolean;
  readonly swapLimit: boolean;
  readonly cpuQuota: boolean;
  readonly cpuShares: boolean;
  readonly cpuSet: boolean;
  readonly pidsLimit: boolean;
  readonly oomKillDisable: boolean;
  readonly memorySwappiness: boolean;
  readonly blkioWeight: boolean;
  readonly blkioThrottle: boolean;
}

export function readHostFacts(): HostFacts {
  const release = readRelease();
  return {
    kernelVersion: os.release(),
    operatingSystem: release.PRETTY_NAME ?? "Linux",
    osVersion: release.VERSION_ID ?? "",
    machine: os.machine(),
    arch: hostPlatform().architecture,
    cpus: os.cpus().length,
    memoryBytes: os.totalmem(),
    hostname: os.hostname(),
    buildTime: statSync(builtFile()).mtime.toISOString(),
    cgroup: readCgroup(),
  };
}

function readRelease(): Readonly<Record<string, string>> {
  const path = ["/etc/os-release", "/usr/lib/os-release"].find(existsSync);
  if (path === undefined) return {};
  const lines = readFileSync(path, "utf8").split("\n");
  return Object.fromEntries(
    lines.flatMap((line) => {
      const match = /^([A-Z_]+)=(?:"([^"]*)"|'([^']*)'|(.*))$/.exec(line);
      return match ? [[match[1]!, match[2] ?? match[3] ?? match[4] ?? ""]] : [];
    }),
  );
}

const ROOT = "/sys/fs/cgroup";

export function readCgroup(): CgroupFacts {
  if (existsSync(`${ROOT}/cgroup.controllers`)) return readUnified();
  const has = (path: string) => existsSync(`${ROOT}/${path}`);
  return {
    version: "1",
    memoryLimit: has("memory/memory.limit_in_bytes"),
    swapLimit: has("memory/memory.memsw.limit_in_bytes"),
    cpuQuota: has("cpu/cpu.cfs_quota_us"),
    cpuShares: has("cpu/cpu.shares"),
    cpuSet: has("cpuset/cpuset.cpus"),
    pidsLimit: has("pids"),
    oomKillDisable: has("memory/memory.oom_control"),
    memorySwappiness: has("memory/memory.swappiness"),
    blkioWeight: has("blkio/blkio.weight") || has("blkio/blkio.bfq.weight"),
    blkioThrottle: has("blkio/blkio.throttle.read_bps_device"),
  };
}

function readUnified(): CgroupFacts {
  const controllers = readFileSync(`${ROOT}/cgroup.controllers`, "utf8").trim().split(" ");
  const has = (name: string) => controllers.includes(name);
  return {
    version: "2",
    memoryLimit: has("memory"),
    swapLimit: has("memory"),
    cpuQuota: has("cpu"),
    cpuShares: has("cpu"),
    cpuSet: has("cpuset"),
    pidsLimit: has("pids"),
    oomKillDisable: false,
    memorySwappiness: false,
    blkioWeight: has("io"),
    blkioThrottle: has("io"),
  };
}
