/** Hooks that the command itself runs, outside the container: poststart and poststop. */
import type { SpecHook } from "../../oci/runtime-spec.ts";
import { HullError } from "../../platform/errors.ts";
import { formatState, type OciState } from "../hook-state.ts";

/** In order. Throws at the first that fails. */
export async function runHooks(list: readonly SpecHook[], name: string, state: OciState): Promise<void> {
  if (list.length === 0) return;
  const { spawnSync } = await import("node:child_process");
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
