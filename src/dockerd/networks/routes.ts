/** /networks */
import type { CreateNetwork } from "../../network/api.ts";
import { HullError } from "../../platform/errors.ts";
import type { ContainerService } from "../containers/api.ts";
import { endpointOf } from "../containers/create/settings.ts";
import { endpointShape } from "../containers/shapes.ts";
import { parseFilters } from "../http/filters.ts";
import type { ApiRequest } from "../http/request.ts";
import type { ApiResponse } from "../http/response.ts";
import type { Handler, Route } from "../http/route.ts";
import { boolean, type Decoded, list as listOf, map, optional, struct, text } from "../http/shape.ts";
import { untilMs } from "../images/list-filters.ts";
import { filterNetworks, formatNetwork, networkFilterNames } from "./format.ts";
import type { Networks } from "./service.ts";

export interface NetworkPorts {
  readonly networks: Networks;
  readonly containers: () => Pick<ContainerService, "connectNetwork" | "disconnectNetwork" | "list">;
}

const poolShape = struct("network.IPAMConfig", {
  Subnet: text,
  IPRange: text,
  Gateway: text,
  AuxiliaryAddresses: map(text),
});

const createShape = struct("network.CreateRequest", {
  Name: text,
  Driver: text,
  Scope: text,
  EnableIPv4: optional(boolean),
  EnableIPv6: optional(boolean),
  IPAM: struct("network.IPAM", { Driver: text, Options: map(text), Config: listOf(poolShape) }),
  Internal: boolean,
  Attachable: boolean,
  Ingress: boolean,
  ConfigOnly: boolean,
  ConfigFrom: optional(struct("network.ConfigReference", { Network: text })),
  Options: map(text),
  Labels: map(text),
});

const connectShape = struct("network.ConnectOptions", {
  Container: text,
  EndpointConfig: optional(endpointShape),
});
const disconnectShape = struct("network.DisconnectOptions", { Container: text, Force: boolean });

type Answer = (ports: NetworkPorts, request: ApiRequest, response: ApiResponse) => void | Promise<void>;

export function networkRoutes(ports: NetworkPorts): readonly Route[] {
  const to =
    (answer: Answer): Handler =>
    (request, response) =>
      answer(ports, request, response);
  return [
    { method: "GET", path: "/networks", handler: to(list) },
    { method: "GET", path: "/networks/", handler: to(list) },
    { method: "GET", path: "/networks/{id}", handler: to(inspect) },
    { method: "POST", path: "/networks/create", handler: to(create) },
    { method: "POST", path: "/networks/prune", since: "1.25", handler: to(prune) },
    { method: "POST", path: "/networks/{id}/connect", handler: to(connect) },
    { method: "POST", path: "/networks/{id}/disconnect", handler: to(disconnect) },
    { method: "DELETE", path: "/networks/{id}", handler: to(remove) },
  ];
}

function list({ networks }: NetworkPorts, request: ApiRequest, response: ApiResponse): void {
  const filters = parseFilters(request.query.text("filters"), networkFilterNames);
  const rows = filterNetworks(networks.list(), filters).map((network) => formatNetwork(network, { containers: false }));
  response.json(200, rows);
}

async function inspect({ networks }: NetworkPorts, request: ApiRequest, response: ApiResponse): Promise<void> {
  const scope = request.query.text("scope");
  if (scope !== "" && scope !== "local") throw new HullError("not-found", `network ${request.param("id")} not found`);
  response.json(200, formatNetwork(await networks.inspect(request.param("id")), { containers: true }));
}

async function create({ networks }: NetworkPorts, request: ApiRequest, response: ApiResponse): Promise<void> {
  const body = await request.json(createShape);
  const network = await networks.create(parseCreate(body), request.span.context);
  response.json(201, { Id: network.id, Warning: "" });
}

function parseCreate(body: Decoded<typeof createShape>): CreateNetwork {
  if (body.ConfigOnly || body.ConfigFrom?.Network) {
    throw new HullError("unimplemented", "config-only networks are not available in this version of Glasshull");
  }
  if (body.Scope !== "" && body.Scope !== "local") {
    throw new HullError("invalid-argument", `network scope "${body.Scope}" needs swarm mode, which is not available`);
  }
  return {
    name: body.Name,
    driver: body.Driver,
    internal: body.Internal,
    attachable: body.Attachable,
    ingress: body.Ingress,
    ...(body.EnableIPv4 === undefined ? {} : { enableIPv4: body.EnableIPv4 }),
    ...(body.EnableIPv6 === undefined ? {} : { enableIPv6: body.EnableIPv6 }),
    options: body.Options,
    labels: body.Labels,
    ipamDriver: body.IPAM.Driver,
    ipamOptions: body.IPAM.Options,
    ipam: body.IPAM.Config.map((pool) => ({
      ...(pool.Subnet === "" ? {} : { subnet: pool.Subnet }),
      ...(pool.IPRange === "" ? {} : { ipRange: pool.IPRange }),
      ...(pool.Gateway === "" ? {} : { gateway: pool.Gateway }),
      auxAddresses: pool.AuxiliaryAddresses,
    })),
  };
}

async function connect(
  { networks, containers }: NetworkPorts,
  request: ApiRequest,
  response: ApiResponse,
): Promise<void> {
  const { Container: container, EndpointConfig: settings } = await request.json(connectShape);
  const network = networks.get(request.param("id")).id;
  const parent = request.span.context;
  await containers().connectNetwork({ container, network, parent, settings: endpointOf(settings) });
  response.empty(200);
}

async function disconnect(
  { networks, containers }: NetworkPorts,
  request: ApiRequest,
  response: ApiResponse,
): Promise<void> {
  const { Container: container, Force: force } = await request.json(disconnectShape);
  const network = networks.get(request.param("id")).id;
  await containers().disconnectNetwork({ container, network, force, parent: request.span.context });
  response.empty(200);
}

async function remove({ networks }: NetworkPorts, request: ApiRequest, response: ApiResponse): Promise<void> {
  await networks.remove(request.param("id"), request.span.context);
  response.empty(204);
}

async function prune(
  { networks, containers }: NetworkPorts,
  request: ApiRequest,
  response: ApiResponse,
): Promise<void> {
  const filters = parseFilters(request.query.text("filters"), ["label", "label!", "until"]);
  const until = untilMs(filters);
  const inUse = new Set(
    containers()
      .list()
      .flatMap((record) => Object.keys(record.endpoints)),
  );
  const deleted: string[] = [];
  await networks.refresh();
  for (const network of networks.list()) {
    const wanted =
      !network.predefined &&
      network.endpoints.length === 0 &&
      !inUse.has(network.name) &&
      (until === undefined || Date.parse(network.created) < until) &&
      filters.labels("label", network.labels) &&
      filters.withoutLabels("label!", network.labels);
    if (!wanted || request.signal.aborted) continue;
    await networks.remove(network.id, request.span.context);
    deleted.push(network.name);
  }
  networks.pruned();
  response.json(200, { NetworksDeleted: deleted.length === 0 ? null : deleted });
}
