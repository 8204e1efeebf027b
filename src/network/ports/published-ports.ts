/**
 * Published ports: which host address and port each request gets, held by binding them in `keel ports`.
 *
 * Lifecycle: `publish` binds everything a container asks for or nothing -> `withdraw` -> `reconcile` at start and after `keel ports`
 * was replaced: what runs is bound again, what belongs to nobody is let go.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { codeOf, HullError, messageOf } from "../../platform/errors.ts";
import type { Log } from "../../platform/log.ts";
import type { PortRequest, PublishedPort } from "../api.ts";
import type { Kernel } from "../kernel.ts";
import { portAllocated, portFailure, portInUse } from "../messages.ts";
import type { PortRecord } from "../record.ts";
import { type BoundPort, PortsClient } from "./ports-client.ts";

export interface PublishRequest {
  readonly containerId: string;
  /** For error texts. */
  readonly endpoint: { readonly name: string; readonly id: string };
  readonly ports: readonly PortRequest[];
  readonly targetIp: string;
  /** Where ports without a host address are published; empty: everywhere. */
  readonly defaultHostIp: string;
}

const EPHEMERAL_ATTEMPTS = 32;
const SOCKET_NAME = "ports.sock";
const REPLACE_ATTEMPTS = 10;
const REPLACE_STEP_MS = 20;

export class PublishedPorts {
  #client: Promise<PortsClient> | undefined;
  readonly #bound = new Map<bigint, BoundPort>();
  #closing = false;
  #replacing = false;

  constructor(
    private readonly kernel: Kernel,
    private readonly execRoot: string,
    private readonly log: Log,
  ) {}

  async publish(request: PublishRequest): Promise<PortRecord[]> {
    const work = request.ports.map((port, index) => this.#publishOne(request, port, index));
    const results = await Promise.allSettled(work);
    const done = results.flatMap((result) => (result.status === "fulfilled" ? result.value : []));
    const failed = results.find((result) => result.status === "rejected");
    if (!failed) return done;
    await this.withdraw(done);
    throw failed.reason;
  }

  async withdraw(ports: readonly PortRecord[]): Promise<void> {
    if (ports.length === 0) return;
    const client = await this.#connected();
    await Promise.all(ports.map(({ portId }) => client.unbind(BigInt(portId))));
    for (const { portId } of ports) this.#bound.delete(BigInt(portId));
  }

  /** `wanted`: every port of every connected container. */
  async reconcile(wanted: readonly PortRecord[]): Promise<void> {
    this.#bound.clear();
    for (const port of wanted) this.#bound.set(BigInt(port.portId), boundOf(port));
    if (wanted.length === 0 && !existsSync(this.#path)) return;
    await this.#bindAll();
  }

  /** Ends `keel ports`. False: something is bound. */
  async quit(): Promise<boolean> {
    if (!this.#client && !existsSync(this.#path)) return true;
    this.#closing = true;
    try {
      return await (await this.#connected()).quit();
    } catch (error) {
      if (codeOf(error) === "unavailable" || codeOf(error) === "deadline-exceeded") return true;
      throw error;
    } finally {
      this.#closing = false;
    }
  }

  /** Leaves `keel ports` running. */
  close(): void {
    this.#closing = true;
    void this.#client?.then((client) => client.close()).catch(() => {});
  }

  get #path(): string {
    return `${this.execRoot}/${SOCKET_NAME}`;
  }

  async #publishOne(request: PublishRequest, port: PortRequest, index: number): Promise<PortRecord[]> {
    const addresses = hostAddresses(port.hostIp || request.defaultHostIp);
    const candidates = candidatePorts(port);
    for (const [attempt, candidate] of candidates.entries()) {
      const last = attempt === candidates.length - 1;
      const bound: PortRecord[] = [];
      try {
        for (const address of addresses) {
          const hostPort = bound[0]?.hostPort ?? candidate;
          bound.push(await this.#bind(request, { port, address, hostPort, index }));
        }
        return bound;
      } catch (error) {
        await this.withdraw(bound);
        if (codeOf(error) === "conflict" && !last) continue;
        if (codeOf(error) === "unavailable") throw error; // keel was killed under it: the whole is tried again.
        throw portFailure(request.endpoint, messageOf(error));
      }
    }
    throw new HullError("internal", "a published port had no candidate");
  }

  async #bind(request: PublishRequest, choice: Choice): Promise<PortRecord> {
    const { port, address, hostPort, index } = choice;
    const family = address.includes(":") ? 6 : 4;
    const record: PortRecord = {
      proto: port.proto,
      containerPort: port.containerPort,
      hostIp: address,
      hostPort,
      portId: portIdOf(`${request.containerId}/${index}/${family}`).toString(),
      targetIp: request.targetIp,
    };
    const wanted = boundOf(record);
    const clash = this.#clash(wanted);
    if (clash) throw new HullError("conflict", portAllocated(address, hostPort));
    const client = await this.#connected();
    // The place is taken before the answer comes, so that two starts at once cannot both pass the check above.
    if (hostPort !== 0) this.#bound.set(wanted.portId, wanted);
    try {
      const listenPort = await client.bind(wanted);
      this.#bound.set(wanted.portId, { ...wanted, listenPort });
      return { ...record, hostPort: listenPort };
    } catch (error) {
      this.#bound.delete(wanted.portId);
      if (codeOf(error) === "conflict")
        throw new HullError("conflict", portInUse(shown(address), hostPort, port.proto));
      throw error;
    }
  }

  #clash(wanted: BoundPort): BoundPort | undefined {
    if (wanted.listenPort === 0) return undefined;
    return [...this.#bound.values()].find(
      (other) =>
        other.portId !== wanted.portId &&
        other.proto === wanted.proto &&
        other.family === wanted.family &&
        other.listenPort === wanted.listenPort &&
        (isAny(other.listenAddress) || isAny(wanted.listenAddress) || other.listenAddress === wanted.listenAddress),
    );
  }

  #connected(): Promise<PortsClient> {
    this.#client ??= this.#connect().catch((error: unknown) => {
      this.#client = undefined;
      throw error;
    });
    return this.#client;
  }

  async #connect(): Promise<PortsClient> {
    await this.kernel.startPorts(this.#path);
    return PortsClient.open(this.#path, () => {
      this.#client = undefined;
      if (!this.#closing) void this.#replace();
    });
  }

  /** It died: the published addresses are bound anew at once. */
  async #replace(): Promise<void> {
    if (this.#bound.size === 0 || this.#replacing) return;
    this.#replacing = true;
    this.log.warn("keel ports has ended and is replaced", { ports: this.#bound.size });
    for (let attempt = 1; attempt <= REPLACE_ATTEMPTS; attempt++) {
      try {
        await this.#bindAll();
        break;
      } catch (error) {
        // The one that is dying may have answered still.
        const report = attempt === REPLACE_ATTEMPTS ? this.log.error : this.log.debug;
        report("published ports could not be bound again", { error: messageOf(error), attempt });
        await new Promise((resolve) => setTimeout(resolve, REPLACE_STEP_MS));
      }
    }
    this.#replacing = false;
  }

  async #bindAll(): Promise<void> {
    const client = await this.#connected();
    const held = new Map<bigint, BoundPort>();
    for (const port of await client.list()) {
      const wanted = this.#bound.get(port.portId);
      if (wanted && isSame(wanted, port)) held.set(port.portId, port);
      else await client.unbind(port.portId);
    }
    for (const port of this.#bound.values()) {
      if (held.has(port.portId)) continue;
      await client.bind(port).catch((error: unknown) => {
        const where = `${port.listenAddress}:${port.listenPort}/${port.proto}`;
        this.log.error(`published port ${where} is lost`, { error: messageOf(error) });
      });
    }
  }
}

const isSame = (a: BoundPort, b: BoundPort): boolean =>
  a.proto === b.proto &&
  a.listenPort === b.listenPort &&
  a.listenAddress === b.listenAddress &&
  a.targetAddress === b.targetAddress &&
  a.targetPort === b.targetPort;

interface Choice {
  readonly port: PortRequest;
  readonly address: string;
  readonly hostPort: number;
  readonly index: number;
}

const ANY4 = "0.0.0.0";
const ANY6 = "::";
const isAny = (address: string): boolean => address === ANY4 || address === ANY6;
const shown = (address: string): string => (address.includes(":") ? `[${address}]` : address);

/** Whether this machine has IPv6 at all. */
const hostHasIpv6 = (): boolean => {
  try {
    return readFileSync("/proc/net/if_inet6", "utf8").trim() !== "";
  } catch {
    return false;
  }
};

function hostAddresses(hostIp: string): string[] {
  if (hostIp !== "") return [hostIp];
  return hostHasIpv6() ? [ANY4, ANY6] : [ANY4];
}

/** Host ports to try, in order; 0 is "any", tried again because the other family may have it in use. */
function candidatePorts(port: PortRequest): number[] {
  if (port.hostPort === 0) return Array.from({ length: EPHEMERAL_ATTEMPTS }, () => 0);
  const end = port.hostPortEnd ?? port.hostPort;
  return Array.from({ length: Math.max(1, end - port.hostPort + 1) }, (_, i) => port.hostPort + i);
}

const portIdOf = (text: string): bigint => createHash("sha256").update(text).digest().readBigUInt64BE(0) >> 1n;

const boundOf = (port: PortRecord): BoundPort => ({
  portId: BigInt(port.portId),
  proto: port.proto,
  family: port.hostIp.includes(":") ? 6 : 4,
  listenAddress: port.hostIp,
  listenPort: port.hostPort,
  targetAddress: port.targetIp,
  targetPort: port.containerPort,
});

export const publishedOf = ({ proto, containerPort, hostIp, hostPort }: PortRecord): PublishedPort => ({
  proto,
  containerPort,
  hostIp,
  hostPort,
});
