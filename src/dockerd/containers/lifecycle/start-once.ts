/** A start as clients and the engine ask for it. Runs in the container's queue. */
import type { Container } from "../container.ts";
import type { ContainerDeps } from "../deps.ts";
import { attempt } from "./exit.ts";
import { removeStopped } from "./remove.ts";
import { type StartOptions, startContainer } from "./start.ts";

/** One that fails takes its container with it when that was to be removed after its end: clients wait for the removal. */
export async function startOnce(deps: ContainerDeps, container: Container, options: StartOptions): Promise<void> {
  try {
    await startContainer(deps, container, options);
  } catch (error) {
    const { record } = container;
    const failed = record.state.kind === "created" || record.state.kind === "exited";
    if (failed && record.hostConfig.AutoRemove)
      await attempt(deps, record, "remove after a failed start", () => removeStopped(deps, container, true));
    throw error;
  }
}
