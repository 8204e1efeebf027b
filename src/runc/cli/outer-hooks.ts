/** Hooks that the command itself runs, outside the container: poststart and poststop. */
import { spawnSync } from "node:child_process";
import type { SpecHook } from "../../oci/runtime-spec.ts";
import { HullError } from "../../platform/errors.ts";
import { formatState, type OciState } from "../hook-state.ts";

/** In order. Throws at the first that fails. */
export function runHooks(list: readonly SpecHook[], name: string, state: OciState): void {
  for (const [i, { path, args, env, timeout }] of list.entries()) {
    const [argv0 = path, ...rest] = args;
    const ended = spawnSync(path, rest, {
      argv0,
      env: Object.fromEntries(
        env.map((variable) => [variable.split("=", 1)[0]!, variable.slice(variable.indexOf("=") + 1)]),
      ),
      input: formatState(state),
      ...(timeout !== undefined && { timeout: timeout * 1000 }),
      killSignal: "SIGKILL",
    });
    const why =
      ended.error?.message ??
      (ended.status === 0 ? undefined : `exit status ${ended.status ?? ended.signal}: ${ended.stderr}`);
    if (why !== undefined) throw new HullError("failed-precondition", `error running ${name} hook #${i}: ${why}`);
  }
}
