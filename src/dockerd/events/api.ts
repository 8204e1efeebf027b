/** Engine events: what happened to which object, kept for a while and told to everyone who listens. */

export type EventType =
  | "builder"
  | "config"
  | "container"
  | "daemon"
  | "image"
  | "network"
  | "node"
  | "plugin"
  | "secret"
  | "service"
  | "volume";

export interface EngineEvent {
  readonly type: EventType;
  /** Docker's action: "start", "exec_create: sh", "health_status: healthy". */
  readonly action: string;
  readonly id: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** Nanoseconds since the epoch; strictly increasing. */
  readonly timeNano: bigint;
}

export type NewEvent = Omit<EngineEvent, "timeNano" | "attributes"> & {
  readonly attributes?: Readonly<Record<string, string>>;
};

/**
 * Lifecycle: lives as long as the daemon. Publishing never waits and never fails; a listener runs synchronously and must only queue.
 */
export interface EventBus {
  publish(event: NewEvent): void;
  /** Future events until disposed. */
  subscribe(listener: (event: EngineEvent) => void): Disposable;
  /** The latest past events (at most 256), oldest first. */
  past(): readonly EngineEvent[];
}
