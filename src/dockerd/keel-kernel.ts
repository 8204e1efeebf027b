/** hulld's keel serve behind the port of kernel.ts. */

import type { Operation } from "../keel/plan.ts";
import { KeelServe } from "../keel/serve.ts";
import { HullError, messageOf } from "../platform/errors.ts";
import type { Log } from "../platform/log.ts";
import type { SpanContext } from "../trace/context.ts";
import type { Tracer } from "../trace/tracer.ts";
import type { Kernel } from "./kernel.ts";

export interface OwnKernel extends Kernel, AsyncDisposable {
  /** Holds the directory for this engine as long as hulld lives. Throws conflict when another one has it. */
  claim(directory: string): Promise<void>;
}

/** Starts the coprocess; when it dies another one is there at once and holds the same claims. */
export async function openKernel({ tracer, log }: { readonly tracer: Tracer; readonly log: Log }): Promise<OwnKernel> {
  const serve = await KeelServe.open({
    tracer,
    onRestarted: (why) => log.warn(`keel serve was restarted: ${why}`),
    onLockLost: (path, error) => log.error(`${path} is held by another engine: ${messageOf(error)}`),
  });
  return {
    run: async (what: string, operations: readonly Operation[], parent?: SpanContext) =>
      (await serve.run(operations, { attempt: what, parent })).outputs,
    claim: (directory) => claim(serve, directory),
    [Symbol.asyncDispose]: () => serve[Symbol.asyncDispose](),
  };
}

async function claim(serve: KeelServe, directory: string): Promise<void> {
  try {
    await serve.lock(`${directory}/hulld.lock`);
  } catch (error) {
    if (!(error instanceof HullError) || error.code !== "conflict") throw error;
    throw new HullError("conflict", `another hulld runs on ${directory}: stop it, or give this one roots of its own`, {
      cause: error,
    });
  }
}
