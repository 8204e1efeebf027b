/** Hooks that run while a container is made (config.md, "POSIX-platform Hooks"). Pure. */
import { type Operation, operation } from "../../keel/plan.ts";
import type { RuntimeSpec, SpecHook } from "../../oci/runtime-spec.ts";
import { type OciStatus, stateForHook } from "../hook-state.ts";

/** Where keel runs a hook. */
const HERE = 0;
const ON_HOST = 1;

export interface HookContext {
  readonly spec: RuntimeSpec;
  readonly id: string;
  readonly bundle: string;
}

export interface CompiledHooks {
  /** Once the mounts are there, before pivot_root. */
  readonly beforePivot: readonly Operation[];
  /** After the start was given, before the program. */
  readonly beforeProgram: readonly Operation[];
}

export function compileHooks(context: HookContext): CompiledHooks {
  const { prestart, createRuntime, createContainer, startContainer } = context.spec.hooks;
  return {
    beforePivot: [
      ...hooks(context, prestart, { name: "prestart", where: ON_HOST, status: "creating" }),
      ...hooks(context, createRuntime, { name: "createRuntime", where: ON_HOST, status: "creating" }),
      ...hooks(context, createContainer, { name: "createContainer", where: HERE, status: "creating" }),
    ],
    beforeProgram: hooks(context, startContainer, { name: "startContainer", where: HERE, status: "created" }),
  };
}

interface Kind {
  readonly name: string;
  readonly where: number;
  readonly status: OciStatus;
}

function hooks(
  { spec, id, bundle }: HookContext,
  list: readonly SpecHook[],
  { name, where, status }: Kind,
): Operation[] {
  const state = stateForHook({ id, status, bundle, annotations: spec.annotations });
  return list.map(({ path, args, env, timeout }, i) =>
    operation(
      "hook",
      { timeoutMs: (timeout ?? 0) * 1000, where, path, argv: args.length > 0 ? args : [path], envp: env, state },
      { cause: `config.json /hooks/${name}/${i}` },
    ),
  );
}
