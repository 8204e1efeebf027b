/** The flags that `run` and `create` share, in docker's names and words, with what docker checks before anything else. */
import { messageOf } from "../../platform/errors.ts";
import type { Flag, FlagKind } from "../flags.ts";
import { isAddress } from "./addresses.ts";
import { parseMount } from "./mounts.ts";
import { extraHost, parseNetwork } from "./networks.ts";
import { parseGpus, parseThrottle, parseUlimit, parseWeightDevice } from "./resources.ts";

const flag = (kind: FlagKind, name: string, help: string, more: Partial<Flag> = {}): Flag => ({
  name,
  kind,
  help,
  ...more,
});

/** The words with which a parser refuses a value. */
const refusalOf =
  (parse: (value: string) => unknown) =>
  (value: string): string | undefined => {
    try {
      parse(value);
      return undefined;
    } catch (error) {
      return messageOf(error);
    }
  };

const checkStream = (value: string): string | undefined =>
  ["stdin", "stdout", "stderr"].includes(value.toLowerCase())
    ? undefined
    : "valid streams are STDIN, STDOUT and STDERR";

const checkAddress = (value: string): string | undefined =>
  !isAddress(value) ? `IP address is not correctly formatted: ${value}` : undefined;

const ipcSysctl = /^kernel\.(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced)=/;
const checkSysctl = (value: string): string | undefined =>
  ipcSysctl.test(value) || /^(net|fs\.mqueue)\.[^=]+=/.test(value) ? undefined : `sysctl '${value}' is not allowed`;

export const containerFlags: readonly Flag[] = [
  flag("list", "add-host", "Add a custom host-to-IP mapping (host:ip)", { check: refusalOf(extraHost) }),
  flag("map", "annotation", "Add an annotation to the container (passed through to the OCI runtime)", { value: "map" }),
  flag("list", "attach", "Attach to STDIN, STDOUT or STDERR", { short: "a", check: checkStream }),
  flag("int", "blkio-weight", "Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)", {
    value: "uint16",
  }),
  flag("list", "blkio-weight-device", "Block IO weight (relative device weight)", {
    check: refusalOf(parseWeightDevice),
  }),
  flag("list", "cap-add", "Add Linux capabilities"),
  flag("list", "cap-drop", "Drop Linux capabilities"),
  flag("string", "cgroup-parent", "Optional parent cgroup for the container"),
  flag("string", "cgroupns", "Cgroup namespace to use (host|private)"),
  flag("string", "cidfile", "Write the container ID to the file"),
  flag("int", "cpu-period", "Limit CPU CFS (Completely Fair Scheduler) period"),
  flag("int", "cpu-quota", "Limit CPU CFS (Completely Fair Scheduler) quota"),
  flag("int", "cpu-rt-period", "Limit CPU real-time period in microseconds"),
  flag("int", "cpu-rt-runtime", "Limit CPU real-time runtime in microseconds"),
  flag("int", "cpu-shares", "CPU shares (relative weight)", { short: "c" }),
  flag("float", "cpus", "Number of CPUs"),
  flag("string", "cpuset-cpus", "CPUs in which to allow execution (0-3, 0,1)"),
  flag("string", "cpuset-mems", "MEMs in which to allow execution (0-3, 0,1)"),
  flag("list", "device", "Add a host device to the container"),
  flag("list", "device-cgroup-rule", "Add a rule to the cgroup allowed devices list"),
  flag("list", "device-read-bps", "Limit read rate (bytes per second) from a device", {
    check: refusalOf((spec) => parseThrottle(spec, "bytes")),
  }),
  flag("list", "device-read-iops", "Limit read rate (IO per second) from a device", {
    check: refusalOf((spec) => parseThrottle(spec, "operations")),
  }),
  flag("list", "device-write-bps", "Limit write rate (bytes per second) to a device", {
    check: refusalOf((spec) => parseThrottle(spec, "bytes")),
  }),
  flag("list", "device-write-iops", "Limit write rate (IO per second) to a device", {
    check: refusalOf((spec) => parseThrottle(spec, "operations")),
  }),
  flag("list", "dns", "Set custom DNS servers", { check: checkAddress }),
  flag("list", "dns-option", "Set DNS options"),
  flag("list", "dns-opt", "Set DNS options", { hidden: true }),
  flag("list", "dns-search", "Set custom DNS search domains"),
  flag("string", "domainname", "Container NIS domain name"),
  flag("string", "entrypoint", "Overwrite the default ENTRYPOINT of the image"),
  flag("list", "env", "Set environment variables", { short: "e" }),
  flag("list", "env-file", "Read in a file of environment variables"),
  flag("list", "expose", "Expose a port or a range of ports"),
  flag("list", "gpus", "GPU devices to add to the container ('all' to pass all GPUs)", {
    value: "gpu-request",
    check: refusalOf(parseGpus),
  }),
  flag("list", "group-add", "Add additional groups to join"),
  flag("string", "health-cmd", "Command to run to check health"),
  flag("duration", "health-interval", "Time between running the check (ms|s|m|h) (default 0s)"),
  flag("int", "health-retries", "Consecutive failures needed to report unhealthy"),
  flag(
    "duration",
    "health-start-interval",
    "Time between running the check during the start period (ms|s|m|h) (default 0s)",
  ),
  flag(
    "duration",
    "health-start-period",
    "Start period for the container to initialize before starting health-retries countdown (ms|s|m|h) (default 0s)",
  ),
  flag("duration", "health-timeout", "Maximum time to allow one check to run (ms|s|m|h) (default 0s)"),
  flag("string", "hostname", "Container host name", { short: "h" }),
  flag("bool", "init", "Run an init inside the container that forwards signals and reaps processes"),
  flag("bool", "interactive", "Keep STDIN open even if not attached", { short: "i" }),
  flag("string", "ip", "IPv4 address (e.g., 172.30.100.104)"),
  flag("string", "ip6", "IPv6 address (e.g., 2001:db8::33)"),
  flag("string", "ipc", "IPC mode to use"),
  flag("string", "isolation", "Container isolation technology"),
  flag("bytes", "kernel-memory", "Kernel memory limit", { hidden: true }),
  flag("list", "label", "Set meta data on a container", { short: "l" }),
  flag("list", "label-file", "Read in a line delimited file of labels"),
  flag("list", "link", "Add link to another container"),
  flag("list", "link-local-ip", "Container IPv4/IPv6 link-local addresses"),
  flag("string", "log-driver", "Logging driver for the container"),
  flag("list", "log-opt", "Log driver options"),
  flag("string", "mac-address", "Container MAC address (e.g., 92:d0:c6:0a:29:33)"),
  flag("bytes", "memory", "Memory limit", { short: "m" }),
  flag("bytes", "memory-reservation", "Memory soft limit"),
  flag("swap", "memory-swap", "Swap limit equal to memory plus swap: '-1' to enable unlimited swap"),
  flag("int", "memory-swappiness", "Tune container memory swappiness (0 to 100)", { default: "-1" }),
  flag("list", "mount", "Attach a filesystem mount to the container", { value: "mount", check: refusalOf(parseMount) }),
  flag("string", "name", "Assign a name to the container"),
  flag("list", "network", "Connect a container to a network", { value: "network", check: refusalOf(parseNetwork) }),
  flag("list", "net", "Connect a container to a network", { hidden: true, check: refusalOf(parseNetwork) }),
  flag("list", "network-alias", "Add network-scoped alias for the container"),
  flag("list", "net-alias", "Add network-scoped alias for the container", { hidden: true }),
  flag("bool", "no-healthcheck", "Disable any container-specified HEALTHCHECK"),
  flag("bool", "oom-kill-disable", "Disable OOM Killer"),
  flag("int", "oom-score-adj", "Tune host's OOM preferences (-1000 to 1000)"),
  flag("string", "pid", "PID namespace to use"),
  flag("int", "pids-limit", "Tune container pids limit (set -1 for unlimited)"),
  flag("string", "platform", "Set platform if server is multi-platform capable"),
  flag("bool", "privileged", "Give extended privileges to this container"),
  flag("list", "publish", "Publish a container's port(s) to the host", { short: "p" }),
  flag("bool", "publish-all", "Publish all exposed ports to random ports", { short: "P" }),
  flag("string", "pull", 'Pull image before creating ("always", "missing", "never")', { default: '"missing"' }),
  flag("bool", "quiet", "Suppress the pull output", { short: "q" }),
  flag("bool", "read-only", "Mount the container's root filesystem as read only"),
  flag("string", "restart", "Restart policy to apply when a container exits", { default: '"no"' }),
  flag("bool", "rm", "Automatically remove the container and its associated anonymous volumes when it exits"),
  flag("string", "runtime", "Runtime to use for this container"),
  flag("list", "security-opt", "Security Options"),
  flag("bytes", "shm-size", "Size of /dev/shm"),
  flag("string", "stop-signal", "Signal to stop the container"),
  flag("int", "stop-timeout", "Timeout (in seconds) to stop a container"),
  flag("list", "storage-opt", "Storage driver options for the container"),
  flag("map", "sysctl", "Sysctl options", { check: checkSysctl }),
  flag("list", "tmpfs", "Mount a tmpfs directory"),
  flag("bool", "tty", "Allocate a pseudo-TTY", { short: "t" }),
  flag("list", "ulimit", "Ulimit options", { value: "ulimit", check: refusalOf(parseUlimit) }),
  flag("string", "user", "Username or UID (format: <name|uid>[:<group|gid>])", { short: "u" }),
  flag("string", "userns", "User namespace to use"),
  flag("string", "uts", "UTS namespace to use"),
  flag("list", "volume", "Bind mount a volume", { short: "v" }),
  flag("string", "volume-driver", "Optional volume driver for the container"),
  flag("list", "volumes-from", "Mount volumes from the specified container(s)"),
  flag("string", "workdir", "Working directory inside the container", { short: "w" }),
];
