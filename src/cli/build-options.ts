/** The flags of `hull build` and the query of `POST /build` they become. */

import { HullError } from "../platform/errors.ts";
import { parseLabels } from "./container-options/environment.ts";
import { extraHost } from "./container-options/networks.ts";
import { parseUlimit } from "./container-options/resources.ts";
import { type Flag, type FlagValues, parseBytes } from "./flags.ts";
import type { ApiCall } from "./session.ts";

const flag = (kind: Flag["kind"], name: string, help: string, more: Partial<Flag> = {}): Flag => ({
  kind,
  name,
  help,
  ...more,
});

export const buildFlags: readonly Flag[] = [
  flag("list", "add-host", "Add a custom host-to-IP mapping (host:ip)"),
  flag("list", "build-arg", "Set build-time variables"),
  flag("list", "cache-from", "Images to consider as cache sources"),
  flag("string", "cgroup-parent", "Set the parent cgroup for the RUN instructions during build"),
  flag("string", "call", 'Set method for evaluating build ("check", "outline", "targets")', {
    default: '"build"',
  }),
  flag("bool", "check", 'Shorthand for "--call=check"'),
  flag("bool", "compress", "Compress the build context using gzip"),
  flag("int", "cpu-period", "Limit the CPU CFS (Completely Fair Scheduler) period"),
  flag("int", "cpu-quota", "Limit the CPU CFS (Completely Fair Scheduler) quota"),
  flag("int", "cpu-shares", "CPU shares (relative weight)", { short: "c" }),
  flag("string", "cpuset-cpus", "CPUs in which to allow execution (0-3, 0,1)"),
  flag("string", "cpuset-mems", "MEMs in which to allow execution (0-3, 0,1)"),
  flag("bool", "disable-content-trust", "Skip image verification", { hidden: true }),
  flag("string", "file", 'Name of the Dockerfile (Default is "PATH/Dockerfile")', { short: "f" }),
  flag("bool", "force-rm", "Always remove intermediate containers"),
  flag("string", "iidfile", "Write the image ID to the file"),
  flag("string", "isolation", "Container isolation technology"),
  flag("list", "label", "Set metadata for an image"),
  flag("bool", "load", "Load the result into the engine: what happens in any case", { hidden: true }),
  flag("bytes", "memory", "Memory limit", { short: "m" }),
  flag("swap", "memory-swap", "Swap limit equal to memory plus swap: '-1' to enable unlimited swap"),
  flag("string", "network", "Set the networking mode for the RUN instructions during build", { default: '"default"' }),
  flag("bool", "no-cache", "Do not use cache when building the image"),
  flag("list", "platform", "Set platform if server is multi-platform capable"),
  flag("string", "progress", 'Set type of progress output ("auto", "plain", "tty", "quiet", "rawjson")', {
    check: (value) =>
      ["auto", "plain", "quiet", "tty", "rawjson"].includes(value) ? undefined : `invalid progress mode: ${value}`,
  }),
  flag("bool", "pull", "Always attempt to pull a newer version of the image"),
  flag("bool", "quiet", "Suppress the build output and print image ID on success", { short: "q" }),
  flag("bool", "rm", "Remove intermediate containers after a successful build", { default: "true" }),
  flag("list", "security-opt", "Security options", { hidden: true }),
  flag("bytes", "shm-size", "Size of /dev/shm"),
  flag("bool", "squash", "Squash newly built layers into a single new layer", { hidden: true }),
  flag("list", "tag", 'Name and optionally a tag in the "name:tag" format', { short: "t" }),
  flag("string", "target", "Set the target build stage to build."),
  flag("list", "ulimit", "Ulimit options", { value: "ulimit" }),
  flag("list", "allow", 'Allow extra privileged entitlement (e.g., "network.host", "security.insecure")'),
  flag("list", "build-context", "Additional build contexts (e.g., name=path)"),
  flag("string", "metadata-file", "Write build result metadata to a file"),
  flag("list", "no-cache-filter", "Do not cache specified stages"),
  flag("list", "output", 'Output destination (format: "type=local,dest=path")', { short: "o" }),
  flag("bool", "push", 'Shorthand for "--output=type=registry"'),
  flag("list", "secret", 'Secret to expose to the build (format: "id=mysecret[,src=/local/secret]")'),
  flag("list", "ssh", 'SSH agent socket or keys to expose to the build (format: "default|<id>[=<socket>]")'),
  flag("bool", "debug", "Enable debug logging", { short: "D" }),
  flag("bool", "explain-cache", "Say of each step whether it was in the cache, and what of it has changed if not"),
  flag("bool", "explain-context", "Say what of the build context takes the most space, and how to make it smaller"),
  flag("list", "attest", 'Attestation parameters (format: "type=sbom" or "type=provenance,mode=max")'),
  flag("string", "provenance", 'Shorthand for "--attest=type=provenance" (true, false, mode=min, mode=max)'),
  flag("string", "sbom", 'Shorthand for "--attest=type=sbom"'),
  ...["annotation", "cache-to"].map((name) => flag("list", name, "Is not available yet", { hidden: true })),
];

const buildkitOnly = [
  ...["allow", "annotation", "attest", "build-context", "cache-to", "no-cache-filter", "output", "secret", "ssh"],
  ...["metadata-file", "provenance", "sbom", "push", "explain-cache", "explain-context", "call", "check"],
];

/** Throws unimplemented, naming the flag, for what the classic protocol cannot say. */
export function refuseBuildkitFlags(flags: FlagValues): void {
  const given = buildkitOnly.find((name) => flags.has(name));
  if (given === undefined) return;
  throw new HullError("unimplemented", `--${given} needs BuildKit's protocol: build without DOCKER_BUILDKIT=0`);
}

export const isQuiet = (flags: FlagValues): boolean => flags.bool("quiet") || flags.text("progress") === "quiet";

/** `dockerfile` is its name within the context. */
export function buildQuery(flags: FlagValues, dockerfile: string): NonNullable<ApiCall["query"]> {
  const bytes = (name: string) => parseBytes(flags.text(name) ?? "0") ?? -1;
  const ulimits = flags.list("ulimit").map(parseUlimit);
  const cacheFrom = flags.list("cache-from");
  return {
    t: flags.list("tag"),
    dockerfile,
    q: isQuiet(flags) ? true : undefined,
    nocache: flags.bool("no-cache") ? true : undefined,
    pull: flags.bool("pull") ? true : undefined,
    rm: !flags.has("rm") || flags.bool("rm"),
    forcerm: flags.bool("force-rm") ? true : undefined,
    buildargs: JSON.stringify(buildArguments(flags.list("build-arg"))),
    labels: JSON.stringify(parseLabels(flags.list("label"), [])),
    cachefrom: cacheFrom.length === 0 ? undefined : JSON.stringify(cacheFrom),
    networkmode: flags.text("network") ?? "default",
    target: flags.text("target"),
    platform: flags.list("platform").join(",") || undefined,
    extrahosts: flags.list("add-host").map(extraHost),
    ulimits: ulimits.length === 0 ? undefined : JSON.stringify(ulimits),
    shmsize: bytes("shm-size"),
    memory: bytes("memory"),
    memswap: bytes("memory-swap"),
    cpushares: flags.number("cpu-shares") ?? 0,
    cpuperiod: flags.number("cpu-period") ?? 0,
    cpuquota: flags.number("cpu-quota") ?? 0,
    cpusetcpus: flags.text("cpuset-cpus"),
    cpusetmems: flags.text("cpuset-mems"),
    cgroupparent: flags.text("cgroup-parent"),
    isolation: flags.text("isolation"),
    securityopt: flags.list("security-opt"),
    squash: flags.bool("squash") ? true : undefined,
    version: "1",
  };
}

/** A name without a value has the environment's; without one there it is not set. */
function buildArguments(specs: readonly string[]): Record<string, string | null> {
  const pairs = specs.map((spec): [string, string | null] => {
    const equals = spec.indexOf("=");
    return equals < 0 ? [spec, process.env[spec] ?? null] : [spec.slice(0, equals), spec.slice(equals + 1)];
  });
  return Object.fromEntries(pairs);
}
