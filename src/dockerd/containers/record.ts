/** What hulld knows about one container: an immutable value, replaced as a whole by the container's own queue. */
import type { ContainerConfig, EndpointSettings, HostConfig, MountPoint, PortMap } from "./config.ts";
import type { ContainerState } from "./state.ts";

/** What containers ask hull-containerd for; where that has no overlayfs it takes what it has. */
export const DRIVER = "overlay2";

/** The result of the last health checks. */
export interface Health {
  readonly status: "starting" | "healthy" | "unhealthy";
  readonly failingStreak: number;
  /** At most five, newest last. */
  readonly log: readonly HealthResult[];
}

export interface HealthResult {
  readonly start: string;
  readonly end: string;
  readonly exitCode: number;
  /** At most 4096 bytes. */
  readonly output: string;
}

/** How a mount point is made at start: what inspect shows does not tell everything. */
export interface ContainerMount extends MountPoint {
  /** Came from an image's or a command's anonymous volume: removed with the container when asked. */
  readonly anonymous: boolean;
  /** Path below the volume's directory. */
  readonly subpath: string;
  /** Only this mount, not what is mounted below it. */
  readonly nonRecursive: boolean;
  /** Read-only reaches submounts: "try" where the kernel can, "force", or "no". */
  readonly recursiveReadOnly: "try" | "force" | "no";
  /** tmpfs: the mount's data ("size=64m"), as given. */
  readonly tmpfsOptions: string;
}

export interface ContainerSandbox {
  /** 64 hex digits; empty when it never ran. */
  readonly id: string;
  /** Path of the network namespace. */
  readonly key: string;
  /** What is published now. */
  readonly ports: PortMap;
  /** What each attachment got, by network name; empty while it does not run. */
  readonly endpoints: Readonly<Record<string, EndpointSettings>>;
}

export const noSandbox: ContainerSandbox = { id: "", key: "", ports: {}, endpoints: {} };

export interface ContainerRecord {
  /** 64 hex digits. */
  readonly id: string;
  /** Without the leading slash. */
  readonly name: string;
  /** RFC 3339. */
  readonly created: string;
  readonly path: string;
  readonly args: readonly string[];
  readonly config: ContainerConfig;
  readonly hostConfig: HostConfig;
  /** "sha256:..." of the image's config; empty for none. */
  readonly imageId: string;
  readonly platform: string;
  readonly driver: string;
  /** LowerDir, MergedDir, UpperDir, WorkDir. */
  readonly graph: Readonly<Record<string, string>>;
  readonly state: ContainerState;
  readonly health?: Health;
  readonly restartCount: number;
  /** `docker stop` or `kill` ended it: unless-stopped leaves it so. */
  readonly manuallyStopped: boolean;
  readonly startedBefore: boolean;
  readonly mounts: readonly ContainerMount[];
  /** The attachments as asked for, by network name. */
  readonly endpoints: Readonly<Record<string, EndpointSettings>>;
  readonly sandbox: ContainerSandbox;
  /** Where its files are: <data-root>/containers/<id>. */
  readonly directory: string;
}

/** The attachments with what they got, as inspect shows them. */
export const attachments = (record: ContainerRecord): Readonly<Record<string, EndpointSettings>> => ({
  ...record.endpoints,
  ...record.sandbox.endpoints,
});

export const shortId = (id: string): string => id.slice(0, 12);
export const logPathOf = (record: ContainerRecord): string => `${record.directory}/${record.id}-json.log`;
