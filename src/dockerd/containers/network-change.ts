/** Attaching a container to a network and taking it off, while it runs or not. */
import { HullError } from "../../platform/errors.ts";
import type { NetworkChange } from "./api.ts";
import type { Container } from "./container.ts";
import { endpointOf } from "./create/settings.ts";
import { containerOf } from "./create/verify-modes.ts";
import type { ContainerDeps } from "./deps.ts";
import { writeNetworkFiles } from "./files.ts";
import { linkLines } from "./links.ts";
import type { Sandbox } from "./sandboxes.ts";
import { isActive } from "./state.ts";

export async function connectNetwork(deps: ContainerDeps, change: NetworkChange): Promise<void> {
  const container = deps.registry.get(change.container);
  const network = deps.networks.get(change.network);
  await container.queue.run(async () => {
    const { record } = container;
    refuse(container, network.name);
    if (record.endpoints[network.name] && isActive(record.state))
      throw new HullError(
        "permission-denied",
        `endpoint with name ${record.name} already exists in network ${network.name}`,
      );
    const settings = change.settings ?? endpointOf(undefined);
    const endpoints = { ...record.endpoints, [network.name]: settings };
    if (!isActive(record.state)) {
      await container.update({ endpoints });
      return;
    }
    await container.update({ endpoints });
    const sandbox = await deps.sandboxes.attach(record, network.name, settings).catch(async (error: unknown) => {
      await container.settle({ endpoints: record.endpoints });
      throw error;
    });
    await apply(deps, container, sandbox);
    deps.events.network(container.record, "connect", { id: network.id, name: network.name, type: network.driver });
  });
}

export async function disconnectNetwork(deps: ContainerDeps, change: NetworkChange): Promise<void> {
  const network = deps.networks.get(change.network);
  const container = deps.registry.find(change.container);
  if (!container) throw new HullError("not-found", `No such container: ${change.container}`);
  await container.queue.run(async () => {
    const { record } = container;
    if (!record.endpoints[network.name]) {
      if (change.force) return;
      throw new HullError("permission-denied", `container ${record.id} is not connected to network ${network.name}`);
    }
    if (network.name === "host")
      throw new HullError(
        "invalid-argument",
        "cannot disconnect container from host network - container was created in host network mode",
      );
    const { [network.name]: _gone, ...endpoints } = record.endpoints;
    if (!isActive(record.state)) {
      await container.settle({ endpoints });
      return;
    }
    const sandbox = await deps.sandboxes.detach(record, network.name);
    await container.settle({ endpoints });
    await apply(deps, container, sandbox);
    deps.events.network(container.record, "disconnect", { id: network.id, name: network.name, type: network.driver });
  });
}

/** What other containers call a running one by. */
export async function renameOnNetworks(deps: ContainerDeps, container: Container, name: string): Promise<void> {
  const record = { ...container.record, name };
  if (!isActive(record.state) || containerOf(record.hostConfig.NetworkMode) !== undefined) return;
  await deps.sandboxes.rename(record);
  const { endpoints } = await deps.sandboxes.inspect(record);
  container.show({ sandbox: { ...record.sandbox, endpoints } });
}

function refuse({ record }: Container, network: string): void {
  const { NetworkMode } = record.hostConfig;
  if (record.state.kind === "removing" || record.state.kind === "dead")
    throw new HullError(
      "conflict",
      `Container ${record.id} is marked for removal and cannot be connected or disconnected to the network`,
    );
  if (containerOf(NetworkMode) !== undefined || NetworkMode === "host")
    throw new HullError(
      "invalid-argument",
      "container sharing network namespace with another container or host cannot be connected to any other network",
    );
  if (network === "host")
    throw new HullError(
      "invalid-argument",
      "cannot connect container to host network - container must be created in host network mode",
    );
  if (network === "none" || record.endpoints.none)
    throw new HullError(
      "invalid-argument",
      "container cannot be connected to multiple networks with one of the networks in private (none) mode",
    );
}

async function apply(deps: ContainerDeps, container: Container, sandbox: Sandbox): Promise<void> {
  await container.settle({
    sandbox: { id: sandbox.id, key: sandbox.key, ports: sandbox.ports, endpoints: sandbox.endpoints },
  });
  const links = linkLines(container.record, (reference) => deps.registry.get(reference).record);
  await writeNetworkFiles(container.record, sandbox, links);
}
