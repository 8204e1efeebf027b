/** What a container's request means over time: whether a restart can go on with what is there, and how live changes alter it. Pure but for ids. */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { HullError } from "../platform/errors.ts";
import type { ConnectRequest, Endpoint, EndpointRequest } from "./api.ts";
import type { EndpointRecord, SandboxRecord } from "./record.ts";

export const sharesNamespace = (record: SandboxRecord): HullError =>
  new HullError(
    "permission-denied",
    record.request.sandboxKind === "host"
      ? "container sharing network namespace with another container or host cannot be connected to any other network"
      : "container cannot be connected to multiple networks with one of the networks in private (none) mode",
  );

export const withEndpoint = (request: ConnectRequest, endpoint: EndpointRequest): ConnectRequest => ({
  ...request,
  endpoints: [...request.endpoints, endpoint],
});

export const withoutEndpoint = (request: ConnectRequest, gone: EndpointRecord): ConnectRequest => ({
  ...request,
  endpoints: request.endpoints.filter(
    (endpoint) => endpoint !== gone.request && endpoint.network !== gone.request.network,
  ),
});

/** What decides whether a namespace can go on over a restart. */
const essence = (request: ConnectRequest): string =>
  JSON.stringify([
    request.sandboxKind,
    request.ports,
    request.endpoints.map(({ network, ip, ip6, mac }) => [network, ip ?? "", ip6 ?? "", mac ?? ""]).sort(),
  ]);

export function isStill(before: SandboxRecord, request: ConnectRequest): boolean {
  if (before.state !== "connected" || essence(before.request) !== essence(request)) return false;
  return before.netnsPath === "" || existsSync(before.netnsPath);
}

/** On host and none: a membership without interface. */
export function plainEndpoint(
  stored: { readonly id: string; readonly name: string },
  request: EndpointRequest,
): EndpointRecord {
  const empty: Omit<Endpoint, "networkId" | "networkName" | "endpointId"> = {
    ifName: "",
    mac: "",
    ip: "",
    prefixLength: 0,
    gateway: "",
    ip6: "",
    prefixLength6: 0,
    gateway6: "",
    dnsNames: [],
    aliases: request.aliases ?? [],
    driverOpts: request.driverOpts ?? {},
    gwPriority: request.gwPriority ?? 0,
    isGateway: false,
  };
  const endpointId = randomBytes(32).toString("hex");
  return { ...empty, networkId: stored.id, networkName: stored.name, endpointId, hostInterface: "", index: 0, request };
}
