/** Texts that Docker's clients and its users' scripts know. */
import { HullError } from "../platform/errors.ts";

export const networkNotFound = (reference: string): HullError =>
  new HullError("not-found", `network ${reference} not found`);

export const ambiguousNetwork = (reference: string): HullError =>
  new HullError("invalid-argument", `network ${reference} is ambiguous (2 matches found based on ID prefix)`);

export const networkExists = (name: string): HullError =>
  new HullError("already-exists", `network with name ${name} already exists`);

export const predefinedCreate = (name: string): HullError =>
  new HullError("permission-denied", `operation is not permitted on predefined ${name} network`);

export const predefinedRemove = (name: string): HullError =>
  new HullError("permission-denied", `${name} is a pre-defined network and cannot be removed`);

export const activeEndpoints = (name: string, endpoints: readonly string[]): HullError =>
  new HullError(
    "permission-denied",
    `error while removing network: network ${name} has active endpoints (${endpoints.join(", ")})`,
  );

export const poolOverlaps = (): HullError =>
  new HullError("permission-denied", "invalid pool request: Pool overlaps with other one on this address space");

export const unknownDriver = (driver: string): HullError =>
  new HullError("not-found", `could not find plugin ${driver} in v1 plugin registry: plugin not found`);

export const noPlatformDriver = (driver: string): HullError =>
  new HullError("unimplemented", `network driver ${driver} is not there yet: bridge, host and none are`);

export const onlyOneInstance = (driver: string): HullError =>
  new HullError("permission-denied", `only one instance of "${driver}" network is allowed`);

/** Settings of an endpoint that its network cannot have. */
export const invalidEndpoint = (network: string, reason: string): HullError =>
  new HullError("invalid-argument", `invalid config for network ${network}: invalid endpoint settings:\n${reason}`);

export const staticNeedsSubnet = (network: string): HullError =>
  invalidEndpoint(
    network,
    "user specified IP address is supported only when connecting to networks with user configured subnets",
  );

export const staticNeedsUserNetwork = (network: string): HullError =>
  invalidEndpoint(network, "user specified IP address is supported on user defined networks only");

export const aliasNeedsUserNetwork = (network: string): HullError =>
  invalidEndpoint(network, "network-scoped aliases are only supported for user-defined networks");

/** What a start says when a published port cannot be had. */
export const portFailure = (endpoint: { readonly name: string; readonly id: string }, cause: string): HullError =>
  new HullError(
    "internal",
    `driver failed programming external connectivity on endpoint ${endpoint.name} (${endpoint.id}): ${cause}`,
    { facts: { reason: "port" } },
  );

export const portAllocated = (address: string, port: number): string =>
  `Bind for ${address}:${port} failed: port is already allocated`;

export const portInUse = (address: string, port: number, proto: string): string =>
  `failed to bind host port ${address}:${port}/${proto}: address already in use`;
