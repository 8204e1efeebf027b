/** Named directories that outlive containers: `<data-root>/volumes/<name>/_data`. */

export interface Volume {
  readonly name: string;
  readonly driver: "local";
  /** Absolute path of the data. */
  readonly mountpoint: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Driver options: type, device, o. Empty for a plain directory. */
  readonly options: Readonly<Record<string, string>>;
  /** RFC 3339. */
  readonly createdAt: string;
  readonly anonymous: boolean;
  /** Of an anonymous one: the container it was made for and goes with. */
  readonly owner?: string;
}

export interface NewVolume {
  /** Empty: anonymous, 64 hex digits. */
  readonly name: string;
  /** Empty is "local". */
  readonly driver: string;
  readonly driverOpts: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** The container it is made for. */
  readonly owner?: string;
}

/**
 * Lifecycle of a volume: create -> acquire (by a container, from its creation on) -> mount (at start) -> unmount (at stop) -> release (container removed)
 * -> remove. References are in memory: a restarted daemon's containers acquire again before anything may be removed.
 */
export interface VolumeService {
  /** Idempotent by name: an existing one is returned as it is, as Docker does. */
  create(wanted: NewVolume): Promise<Volume>;
  find(name: string): Volume | undefined;
  /** Throws not-found: `get x: no such volume`. */
  get(name: string): Volume;
  list(): readonly Volume[];
  /** The container refers to it; creates nothing. Throws not-found. */
  acquire(name: string, containerId: string): Volume;
  release(name: string, containerId: string): void;
  /** The container's process uses it: a volume with driver options is mounted with its first user. Returns the path of the data. */
  mount(name: string, containerId: string): Promise<string>;
  unmount(name: string, containerId: string): Promise<void>;
  /** Copies `fromDirectory` with owners and modes into the volume when that is empty; a missing one is nothing to copy. True when it copied. */
  copyUp(name: string, fromDirectory: string): Promise<boolean>;
  /** It outlives the container it was made for. An absent one is fine. */
  disown(name: string): Promise<void>;
  /** At start, when every container refers to its volumes: removes those whose owner is not there, made or removed by a killed engine. */
  removeOrphans(isThere: (containerId: string) => boolean): Promise<void>;
  /** Throws conflict while referred to. With `force`, an absent one is fine. Publishes destroy. */
  remove(name: string, force: boolean): Promise<void>;
}
