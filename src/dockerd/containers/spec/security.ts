/** --security-opt and what else narrows a container's process. Pure. */
import { HullError } from "../../../platform/errors.ts";
import { invalid } from "../create/refusal.ts";

export type SeccompChoice =
  | { readonly kind: "default" }
  | { readonly kind: "unconfined" }
  /** JSON text of a profile in Docker's or OCI's form. */
  | { readonly kind: "profile"; readonly json: string };

export interface SecurityOptions {
  readonly seccomp: SeccompChoice;
  /** Empty: the engine's own choice. */
  readonly apparmor: string;
  readonly noNewPrivileges: boolean | undefined;
  /** systempaths=unconfined: nothing masked, nothing read-only. */
  readonly systemPathsUnconfined: boolean;
}

/** Throws invalid-argument in Docker's words. */
export function parseSecurityOptions(options: readonly string[]): SecurityOptions {
  let parsed: SecurityOptions = {
    seccomp: { kind: "default" },
    apparmor: "",
    noNewPrivileges: undefined,
    systemPathsUnconfined: false,
  };
  for (const option of options) parsed = { ...parsed, ...parseOption(option) };
  return parsed;
}

function parseOption(option: string): Partial<SecurityOptions> {
  if (option === "no-new-privileges") return { noNewPrivileges: true };
  const separator = /[=:]/.exec(option)?.index;
  if (separator === undefined) throw invalid(`invalid --security-opt 1: "${option}"`);
  const key = option.slice(0, separator);
  const value = option.slice(separator + 1);
  switch (key) {
    case "seccomp":
      return { seccomp: seccompOf(value) };
    case "apparmor":
      return { apparmor: value };
    case "no-new-privileges":
      if (!["true", "false", "1", "0"].includes(value)) throw invalid(`invalid --security-opt 2: "${option}"`);
      return { noNewPrivileges: value === "true" || value === "1" };
    case "systempaths":
      if (value !== "unconfined") throw invalid(`invalid --security-opt 2: "${option}"`);
      return { systemPathsUnconfined: true };
    case "label":
      return {}; // SELinux is not on these hosts: labels mean nothing, as with dockerd there.
    case "writable-cgroups":
      throw invalid(`--security-opt ${option} is not supported yet`);
    default:
      throw invalid(`invalid --security-opt 2: "${option}"`);
  }
}

function seccompOf(value: string): SeccompChoice {
  if (value === "unconfined") return { kind: "unconfined" };
  if (value === "builtin" || value === "") return { kind: "default" };
  try {
    JSON.parse(value);
  } catch (error) {
    throw new HullError(
      "invalid-argument",
      `Decoding seccomp profile failed: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  }
  return { kind: "profile", json: value };
}
