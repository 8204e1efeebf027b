/** Networks of every kind with published ports: what a host is asked whether it can filter, and what tests compare. */
import { parseBridgeNetwork, type StoredNetwork } from "../record.ts";
import type { FirewallInput, PortForward } from "./model.ts";

export function network(name: string, more: Partial<StoredNetwork> = {}) {
  const stored: StoredNetwork = {
    id: name.padEnd(64, "0"),
    name,
    driver: "bridge",
    created: "",
    internal: false,
    attachable: false,
    ingress: false,
    enableIPv4: true,
    enableIPv6: false,
    options: {},
    labels: {},
    ipamDriver: "default",
    ipamOptions: {},
    ipam: [{ subnet: "172.17.0.0/16", gateway: "172.17.0.1" }],
    userSubnet: false,
    predefined: false,
    bridgeName: `br-${name}`,
    ...more,
  };
  return parseBridgeNetwork(stored);
}

const opt = (key: string, value: string) => ({ options: { [`com.docker.network.${key}`]: value } });
export const plain = network("plain");
export const both = network("both", {
  enableIPv6: true,
  ipam: [
    { subnet: "172.18.0.0/16", gateway: "172.18.0.1" },
    { subnet: "fd00:1::/64", gateway: "fd00:1::1" },
  ],
});
const inner = network("inner", { internal: true, ipam: [{ subnet: "172.19.0.0/16", gateway: "172.19.0.1" }] });
const strict = network("strict", {
  ...opt("bridge.enable_icc", "false"),
  ipam: [{ subnet: "172.20.0.0/16", gateway: "172.20.0.1" }],
});
const routed = network("routed", {
  ...opt("bridge.gateway_mode_ipv4", "routed"),
  ipam: [{ subnet: "172.21.0.0/16", gateway: "172.21.0.1" }],
});
const open = network("open", {
  ...opt("bridge.gateway_mode_ipv4", "nat-unprotected"),
  ipam: [{ subnet: "172.22.0.0/16", gateway: "172.22.0.1" }],
});
const snat = network("snat", {
  ...opt("host_ipv4", "192.0.2.9"),
  ipam: [{ subnet: "172.23.0.0/16", gateway: "172.23.0.1" }],
});

export const forward = (more: Partial<PortForward> = {}): PortForward => ({
  network: plain,
  family: 4,
  proto: "tcp",
  containerIp: "172.17.0.2",
  containerPort: 80,
  hostIp: "",
  hostPort: 8080,
  ...more,
});

export const input: FirewallInput = {
  networks: [plain, both, inner, strict, routed, open, snat],
  forwards: [
    forward(),
    forward({ proto: "udp", hostIp: "192.0.2.1", hostPort: 53, containerPort: 53 }),
    forward({ hostIp: "127.0.0.1", hostPort: 9000 }),
    forward({ network: both, family: 6, containerIp: "fd00:1::2", hostPort: 8081 }),
    forward({ network: routed, containerIp: "172.21.0.2" }),
  ],
  masquerade: true,
};
