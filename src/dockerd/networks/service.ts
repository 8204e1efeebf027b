/** The memory of netd's networks, and the changes to them. */
import type { CreateNetwork } from "../../network/api.ts";
import type { NetdClient } from "../../network/client.ts";
import { HullError } from "../../platform/errors.ts";
import { formatTraceparent, type SpanContext } from "../../trace/context.ts";
import type { EventBus } from "../events/api.ts";
import type { NetworkRecord, NetworkService } from "./api.ts";

/** How long an inspect waits for netd before it shows what is remembered. */
const INSPECT_MS = 300;

export class Networks implements NetworkService {
  #networks: readonly NetworkRecord[] = [];

  constructor(
    private readonly netd: NetdClient,
    private readonly events: EventBus,
  ) {}

  list(): readonly NetworkRecord[] {
    return this.#networks;
  }

  find(reference: string): NetworkRecord | undefined {
    const exact =
      this.#networks.find(({ id }) => id === reference) ?? this.#networks.find(({ name }) => name === reference);
    if (exact || reference === "") return exact;
    const matches = this.#networks.filter(({ id }) => id.startsWith(reference));
    if (matches.length > 1) {
      throw new HullError(
        "invalid-argument",
        `network ${reference} is ambiguous (${matches.length} matches found on ID prefix)`,
      );
    }
    return matches[0];
  }

  get(reference: string): NetworkRecord {
    const network = this.find(reference);
    if (!network) throw new HullError("not-found", `network ${reference} not found`);
    return network;
  }

  async refresh(): Promise<void> {
    this.#networks = await this.netd.call("listNetworks", {});
  }

  /** With its endpoints of now; as remembered when netd does not answer at once. */
  async inspect(reference: string): Promise<NetworkRecord> {
    const known = this.get(reference);
    try {
      const signal = AbortSignal.timeout(INSPECT_MS);
      return await this.netd.call("inspectNetwork", { network: known.id }, { signal, retryForMs: 0 });
    } catch (error) {
      if (error instanceof HullError && error.code === "not-found") throw error;
      return known;
    }
  }

  async create(wanted: CreateNetwork, parent: SpanContext): Promise<NetworkRecord> {
    if (["bridge", "host", "none", "default"].includes(wanted.name)) {
      throw new HullError("permission-denied", `operation is not permitted on predefined ${wanted.name} network`);
    }
    if (wanted.name.trim() === "") throw new HullError("invalid-argument", "invalid name: name is empty");
    const network = await forbiddenInDocker(
      this.netd.call("createNetwork", wanted, { trace: formatTraceparent(parent) }),
    );
    await this.refresh();
    this.#publish("create", network);
    return network;
  }

  async remove(reference: string, parent: SpanContext): Promise<void> {
    const network = this.get(reference);
    if (network.predefined) {
      throw new HullError("permission-denied", `${network.name} is a pre-defined network and cannot be removed`);
    }
    const removing = this.netd.call("removeNetwork", { network: network.id }, { trace: formatTraceparent(parent) });
    await forbiddenInDocker(removing);
    await this.refresh();
    this.#publish("destroy", network);
  }

  pruned(): void {
    this.events.publish({
      type: "network",
      action: "prune",
      id: "",
      attributes: { reclaimed: "0" },
    });
  }

  #publish(action: string, { id, name, driver }: NetworkRecord): void {
    this.events.publish({ type: "network", action, id, attributes: { name, type: driver } });
  }
}

/** What hinders a change of networks (active endpoints, overlapping pools) is 403 in Docker. */
async function forbiddenInDocker<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (!(error instanceof HullError) || error.code !== "failed-precondition") throw error;
    throw new HullError("permission-denied", error.message, { cause: error, facts: error.facts });
  }
}
