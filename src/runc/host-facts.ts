/**
 * What the compiler must know of the machine. Everything it looks at goes through here, so that plans can be computed for any
 * machine in tests.
 */
import { existsSync, readFileSync } from "node:fs";
import { arch, release } from "node:os";
import { allCapabilities } from "../oci/capabilities.ts";
import { type CgroupHost, parseCgroupHost } from "./cgroup/host.ts";

export interface HostFacts {
  /** Go's name of the architecture: amd64, arm64. */
  readonly arch: string;
  readonly kernel: readonly [major: number, minor: number];
  /** Our own effective capabilities: a container gets none that we lack. */
  readonly capabilities: bigint;
  readonly cgroups: CgroupHost;
  /** Content of a small file without the newline at its end; undefined when it can't be read. */
  readonly readText: (path: string) => string | undefined;
}

const goArch: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trimEnd();
  } catch {
    return undefined;
  }
}

function effectiveCapabilities(): bigint {
  const mask = /^CapEff:\s*([0-9a-f]+)$/m.exec(readText("/proc/self/status") ?? "")?.[1];
  return mask === undefined ? (1n << BigInt(allCapabilities.length)) - 1n : BigInt(`0x${mask}`);
}

/** Of this machine, as it is now: mounts and cgroups of the caller may change between calls. */
export function readHostFacts(): HostFacts {
  const [major = 0, minor = 0] = release()
    .split(".")
    .map((part) => Number.parseInt(part, 10));
  return {
    arch: goArch[arch()] ?? arch(),
    kernel: [major, minor],
    capabilities: effectiveCapabilities(),
    cgroups: parseCgroupHost({
      mountinfo: readText("/proc/self/mountinfo") ?? "",
      membership: readText("/proc/self/cgroup") ?? "",
      readText,
    }),
    readText,
  };
}

/** True where AppArmor decides (the module is loaded and enabled). */
export const hasAppArmor = (facts: HostFacts): boolean =>
  facts.readText("/sys/module/apparmor/parameters/enabled") === "Y";

export const hasSelinux = (): boolean => existsSync("/sys/fs/selinux/enforce");
