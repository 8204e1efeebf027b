/**
 * A process of the spec for runtimes that do not do what ours does with it: users by number, and no capability that this host lacks
 * (ours leaves those out with a warning; others fail).
 */
import { capabilityMask } from "../../../oci/capabilities.ts";
import { numericUser, type SpecUser } from "./user.ts";

interface Ground {
  /** The container's root file system. */
  readonly rootfs: string;
  /** The engine's own, as a mask. */
  readonly capabilities: bigint;
}

type Document = Readonly<Record<string, unknown>>;

export async function foreignProcess(process: Document, { rootfs, capabilities }: Ground): Promise<Document> {
  const user = await numericUser(rootfs, (process.user ?? {}) as SpecUser);
  const wanted = process.capabilities as Readonly<Record<string, readonly string[]>> | undefined;
  return { ...process, user, ...(wanted && { capabilities: heldOf(wanted, capabilities) }) };
}

/** Pure. What is not held is left out of each set. */
export function heldOf(sets: Readonly<Record<string, readonly string[]>>, held: bigint): Record<string, string[]> {
  const isHeld = (name: string): boolean => (capabilityMask([name]).mask & held) !== 0n;
  return Object.fromEntries(Object.entries(sets).map(([set, names]) => [set, names.filter(isHeld)]));
}
