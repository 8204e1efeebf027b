/** Names of namespaces, containers, execs and leases: they become parts of paths. */
import { HullError } from "../platform/errors.ts";

const form = /^[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*$/;
const MAX_LENGTH = 76;

/** containerd's rule for identifiers. Throws `invalid-argument`. */
export function parseIdentifier(text: string, what: string): string {
  if (text.length > MAX_LENGTH)
    throw new HullError("invalid-argument", `${what} "${text.slice(0, 80)}" is longer than ${MAX_LENGTH} characters`);
  if (!form.test(text)) {
    throw new HullError("invalid-argument", `${what} "${text}" must match ${form.source}: invalid argument`);
  }
  return text;
}
