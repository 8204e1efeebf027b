/** Small changes of a container: pause, unpause, rename, update. Each runs in its queue. */
import { during, HullError } from "../../../platform/errors.ts";
import type { Decoded } from "../../http/shape.ts";
import type { HostConfig } from "../config.ts";
import type { Container } from "../container.ts";
import { discardUnsupported } from "../create/discard.ts";
import { readMachine } from "../create/machine.ts";
import { parseName } from "../create/names.ts";
import { invalid } from "../create/refusal.ts";
import { resourcesOf } from "../create/settings.ts";
import { verifyRestartPolicy } from "../create/verify.ts";
import { verifyLeastMemory, verifyResources } from "../create/verify-resources.ts";
import type { ContainerDeps } from "../deps.ts";
import { renameOnNetworks } from "../network-change.ts";
import type { updateShape } from "../shapes.ts";
import { resourcesOf as specResources } from "../spec/resources.ts";
import { isActive } from "../state.ts";

/** `briefly`: for the engine's own sake. Then it is recorded first: an engine that is killed over it is followed by one that knows. */
export const pauseContainer = (
  deps: ContainerDeps,
  container: Container,
  { briefly }: { readonly briefly: boolean },
): Promise<void> =>
  container.queue.run(async () => {
    const { state, id } = container.record;
    if (state.kind === "paused") throw new HullError("conflict", `Container ${id} is already paused`);
    if (state.kind === "restarting")
      throw new HullError("conflict", `Container ${id} is restarting, wait until the container is running`);
    if (state.kind !== "running") throw new HullError("conflict", `Container ${id} is not running`);
    if (briefly) await container.move({ kind: "paused", briefly });
    await deps.tasks.pause(id).catch(async (error: unknown) => {
      if (briefly) await container.move({ kind: "resumed" });
      throw error;
    });
    if (!briefly) await container.move({ kind: "paused" });
    deps.events.container(container.record, "pause");
  });

export const unpauseContainer = (deps: ContainerDeps, container: Container): Promise<void> =>
  container.queue.run(async () => {
    const { state, id } = container.record;
    if (state.kind !== "paused") throw new HullError("conflict", `Container ${id} is not paused`);
    await deps.tasks.resume(id);
    await container.move({ kind: "resumed" });
    deps.events.container(container.record, "unpause");
  });

export const renameContainer = (deps: ContainerDeps, container: Container, text: string): Promise<void> =>
  container.queue.run(async () => {
    if (text === "") throw invalid("Neither old nor new names may be empty");
    const name = allocating(() => parseName(text));
    const old = container.record.name;
    if (name === old) throw invalid("Renaming a container with the same name as its current name");
    using _taken = allocating(() => deps.registry.reserve(name, container.id));
    const knownAs = (now: string): Promise<void> => renameOnNetworks(deps, container, now);
    await knownAs(name);
    await container.update({ name }).catch(async (error: unknown) => {
      await knownAs(old);
      throw error;
    });
    deps.registry.release(old);
    deps.events.container(container.record, "rename", { oldName: `/${old}` });
  });

function allocating<T>(step: () => T): T {
  try {
    return step();
  } catch (error) {
    throw during("Error when allocating new name", error);
  }
}

type UpdateBody = Decoded<typeof updateShape>;

/** Returns warnings. */
export const updateContainer = (deps: ContainerDeps, container: Container, body: UpdateBody): Promise<string[]> =>
  container.queue.run(async () => {
    const { record } = container;
    const cannot = (reason: string) => `Cannot update container ${record.id}: ${reason}`;
    if (record.state.kind === "removing" || record.state.kind === "dead")
      throw new HullError("conflict", cannot('container is marked for removal and cannot be "update"'));
    const wanted = updated(record.hostConfig, body);
    verifyRestartPolicy(wanted.RestartPolicy);
    const fault = changeFault(record.hostConfig, body);
    if (fault !== undefined) throw invalid(cannot(fault));
    verifyLeastMemory(wanted);
    const { kept: hostConfig, warnings } = discardUnsupported(wanted, readMachine());
    verifyResources(hostConfig, readMachine());
    await container.update({ hostConfig });
    if (isActive(record.state))
      await deps.tasks.update(record.id, specResources(hostConfig)).catch(async (error: unknown) => {
        await container.update({ hostConfig: record.hostConfig });
        throw error;
      });
    deps.events.container(container.record, "update");
    return [...warnings];
  });

/** What the body names replaces; zero values are "not named". */
function updated(host: HostConfig, body: UpdateBody): HostConfig {
  const resources = resourcesOf(body);
  const named = Object.entries(resources).filter(([key, value]) => {
    if (key === "MemorySwap") return body.MemorySwap !== 0;
    return (
      value !== 0 &&
      value !== "" &&
      value !== null &&
      value !== undefined &&
      !(Array.isArray(value) && value.length === 0)
    );
  });
  const policy = body.RestartPolicy.Name === "" ? {} : { RestartPolicy: body.RestartPolicy };
  const changed: HostConfig = { ...host, ...Object.fromEntries(named), ...policy };
  return body.NanoCpus > 0 ? { ...changed, CpuPeriod: 0, CpuQuota: 0 } : changed;
}

/** Why what the container has forbids the change. */
function changeFault(host: HostConfig, body: UpdateBody): string | undefined {
  if (host.Memory > 0 && body.Memory > host.MemorySwap && host.MemorySwap > 0 && body.MemorySwap === 0)
    return "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time";
  if (host.AutoRemove && !["", "no"].includes(body.RestartPolicy.Name))
    return "Restart policy cannot be updated because AutoRemove is enabled for the container";
  return undefined;
}
