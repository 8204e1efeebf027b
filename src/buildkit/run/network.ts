/**
 * The network of a command: a namespace on the default bridge, of its own with nothing but a loopback, or the machine's.
 *
 * Lifecycle: `connect` -> the command runs in it -> disposal gives it back. Whatever a builder that was killed held is released by `forget`
 * at its successor's start, or by hull-netd once it hears what containers there are and the builder's process is gone.
 */
import { readFile } from "node:fs/promises";
import type { NetworkDetails } from "../../network/api.ts";
import type { NetdClient } from "../../network/client.ts";
import { codeOf, during } from "../../platform/errors.ts";
import type { RunVertex } from "../graph/vertex.ts";

export interface CommandNetwork extends AsyncDisposable {
  readonly namespace:
    | { readonly kind: "join"; readonly path: string }
    | { readonly kind: "new" }
    | { readonly kind: "host" };
  readonly addresses: readonly string[];
  readonly resolvConf: string;
  readonly hostGateway: readonly string[];
}

export interface Networks {
  connect(id: string, request: NetworkRequest, signal: AbortSignal): Promise<CommandNetwork>;
  /** What `connect` made for this id, if it is still there. */
  forget(id: string): Promise<void>;
}

export interface NetworkRequest {
  readonly kind: RunVertex["network"];
  readonly hostname: string;
  /** Somebody wants to know what host-gateway is. */
  readonly needsGateway: boolean;
}

/** hull-netd leaves these alone as long as that process lives (src/network/build-sandboxes.ts). */
const sandboxOf = (id: string): string => `build-${process.pid}-${id}`;

export class NetdNetworks implements Networks {
  readonly #netd: NetdClient;

  constructor(netd: NetdClient) {
    this.#netd = netd;
  }

  async connect(id: string, request: NetworkRequest, signal: AbortSignal): Promise<CommandNetwork> {
    if (request.kind !== "default") return this.#plain(request, signal);
    const containerId = sandboxOf(id);
    const forget = async (): Promise<void> => void (await this.#netd.call("forget", { containerId }));
    try {
      const connected = await this.#netd.call(
        "connect",
        {
          containerId,
          sandboxKind: "private",
          names: { name: containerId, hostname: request.hostname },
          endpoints: [{ network: "default" }],
          ports: [],
        },
        { signal },
      );
      return {
        namespace: { kind: "join", path: connected.netnsPath },
        addresses: connected.endpoints.flatMap(({ ip, ip6 }) => [ip, ip6]).filter((address) => address !== ""),
        resolvConf: connected.resolvConf,
        hostGateway: connected.hostGateway,
        [Symbol.asyncDispose]: forget,
      };
    } catch (error) {
      await forget().catch((second) => {
        throw new SuppressedError(second, error);
      });
      throw during("connect the command to the default network", error);
    }
  }

  async forget(id: string): Promise<void> {
    for (const containerId of await this.#sandboxesOf(id)) await this.#netd.call("forget", { containerId });
  }

  /** The process that made it had another number. */
  async #sandboxesOf(id: string): Promise<string[]> {
    const networks = await this.#netd.call("listNetworks", {});
    const ids = networks.flatMap(({ endpoints }) => endpoints.map(({ containerId }) => containerId));
    return ids.filter((name) => name.startsWith("build-") && name.endsWith(`-${id}`));
  }

  async #plain({ kind, needsGateway }: NetworkRequest, signal: AbortSignal): Promise<CommandNetwork> {
    const networks = needsGateway ? await this.#netd.call("listNetworks", {}, { signal }) : [];
    return plainNetwork(kind === "host" ? "host" : "none", networks.flatMap(gatewaysOf));
  }
}

const gatewaysOf = ({ predefined, driver, ipam }: NetworkDetails): string[] =>
  predefined && driver === "bridge" ? ipam.flatMap(({ gateway }) => gateway ?? []) : [];

/** Needs nobody's help. */
export async function plainNetwork(
  kind: "host" | "none",
  hostGateway: readonly string[] = [],
): Promise<CommandNetwork> {
  return {
    namespace: { kind: kind === "host" ? "host" : "new" },
    addresses: [],
    resolvConf: await hostFile("/etc/resolv.conf"),
    hostGateway,
    [Symbol.asyncDispose]: async () => {},
  };
}

/** A machine may have none. */
async function hostFile(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (codeOf(error) === "not-found") return "";
    throw during(`read ${path}`, error);
  }
}
