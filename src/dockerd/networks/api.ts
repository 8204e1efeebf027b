/** Networks as the engine's other parts see them; netd owns them, this is a memory of its list. */
import type { NetworkDetails } from "../../network/api.ts";

/** netd's view; `endpoints` may be a moment old. */
export type NetworkRecord = NetworkDetails;

/** Lifecycle: `refresh` after netd has come (back), at its events and after each change; reads never wait. */
export interface NetworkService {
  /** By full id, name, or unambiguous id prefix, in this order. Throws invalid-argument when ambiguous. */
  find(reference: string): NetworkRecord | undefined;
  /** Throws not-found: `network x not found`. */
  get(reference: string): NetworkRecord;
  list(): readonly NetworkRecord[];
  refresh(): Promise<void>;
}
