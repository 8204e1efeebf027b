/** Networks as the API shows them. Pure. */
import type { Filters } from "../http/filters.ts";
import type { NetworkRecord } from "./api.ts";

export function formatNetwork(network: NetworkRecord, options: { readonly containers: boolean }): object {
  return {
    Name: network.name,
    Id: network.id,
    Created: network.created,
    Scope: network.scope,
    Driver: network.driver,
    EnableIPv4: network.enableIPv4,
    EnableIPv6: network.enableIPv6,
    IPAM: {
      Driver: network.ipamDriver,
      Options: network.predefined ? null : network.ipamOptions,
      Config: network.ipam.length === 0 ? null : network.ipam.map(formatPool),
    },
    Internal: network.internal,
    Attachable: network.attachable,
    Ingress: network.ingress,
    ConfigFrom: { Network: "" },
    ConfigOnly: false,
    Containers: options.containers ? Object.fromEntries(network.endpoints.map(formatEndpoint)) : {},
    Options: network.options,
    Labels: network.labels,
  };
}

const formatPool = ({ subnet, ipRange, gateway, auxAddresses }: NetworkRecord["ipam"][number]): object => ({
  ...(subnet ? { Subnet: subnet } : {}),
  ...(ipRange ? { IPRange: ipRange } : {}),
  ...(gateway ? { Gateway: gateway } : {}),
  ...(auxAddresses && Object.keys(auxAddresses).length > 0 ? { AuxiliaryAddresses: auxAddresses } : {}),
});

const formatEndpoint = (endpoint: NetworkRecord["endpoints"][number]): [string, object] => [
  endpoint.containerId,
  {
    Name: endpoint.name,
    EndpointID: endpoint.endpointId,
    MacAddress: endpoint.mac,
    IPv4Address: endpoint.ipv4,
    IPv6Address: endpoint.ipv6,
  },
];

export const networkFilterNames = ["dangling", "driver", "id", "label", "name", "scope", "type"];

export function filterNetworks(networks: readonly NetworkRecord[], filters: Filters): NetworkRecord[] {
  const dangling = filters.bool("dangling");
  return networks
    .filter((network) => dangling === undefined || (!network.predefined && network.endpoints.length === 0) === dangling)
    .filter((network) => filters.exact("driver", network.driver) && filters.exact("scope", network.scope))
    .filter((network) => filters.match("id", network.id) && filters.match("name", network.name))
    .filter((network) => filters.exact("type", network.predefined ? "builtin" : "custom"))
    .filter((network) => filters.labels("label", network.labels));
}
