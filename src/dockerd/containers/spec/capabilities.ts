/** Capabilities of a container: Docker's default set, --cap-add and --cap-drop. Pure. */
import { allCapabilities as all } from "../../../oci/capabilities.ts";
import { defaultCapabilities as standard } from "../../../oci/default-spec.ts";
import { invalid } from "../create/refusal.ts";

export interface CapabilityWishes {
  readonly CapAdd: readonly string[] | null;
  readonly CapDrop: readonly string[] | null;
  readonly Privileged: boolean;
}

/** Throws invalid-argument for unknown names. */
export function capabilitiesOf({ CapAdd, CapDrop, Privileged }: CapabilityWishes): string[] {
  const added = CapAdd ?? [];
  const dropped = CapDrop ?? [];
  verify("CapAdd", added);
  verify("CapDrop", dropped);
  if (Privileged) return [...all];
  const base = added.includes("ALL") ? all : dropped.includes("ALL") ? [] : standard;
  const kept =
    added.includes("ALL") || !dropped.includes("ALL") ? base.filter((name) => !dropped.includes(name)) : base;
  return [...kept, ...added.filter((name) => name !== "ALL" && !kept.includes(name))];
}

function verify(field: string, names: readonly string[]): void {
  for (const name of names)
    if (name !== "ALL" && !all.includes(name)) throw invalid(`invalid ${field}: unknown capability: "${name}"`);
}
