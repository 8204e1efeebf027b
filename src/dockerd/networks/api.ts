/** Networks as the engine's other parts see them; netd owns them, this is a memory of its list. */

/**
 * Lifecycle: `refresh` after netd has come (back) and after each change; reads never wait.
 */
export interface NetworkService {
  /** By full id, name, or unambiguous id prefix, in this order. Throws invalid-argument when ambiguous. */
  find(reference: string): NetworkRecord | undefined;
  /** Throws not-found: `network x not found`. */
  get(reference: string): NetworkRecord;
  list(): readonly NetworkRecord[];
  refresh(): Promise<void>;
}

/** What the engine itself looks at; `inspect` of netd has the rest. */
export interface NetworkRecord {
  readonly id: string;
  readonly name: string;
  /** bridge, host, null */
  readonly driver: string;
  readonly internal: boolean;
  readonly labels: Readonly<Record<string, string>>;
  /** bridge, host and none exist always and cannot be removed. */
  readonly predefined: boolean;
}
