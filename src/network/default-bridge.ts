/** The predefined networks, above all the default bridge: which name and addresses it has. Pure but for ids. */
import { randomBytes } from "node:crypto";
import type { ChosenBridge } from "./bridge/bridge-choice.ts";
import type { HostView } from "./bridge/host-view.ts";
import { choosePool } from "./ipam/pools.ts";
import { formatAddress, formatPrefix, overlaps, parseInterfacePrefix, parsePrefix } from "./ipam/prefix.ts";
import { decidePool, type NetworkSurroundings } from "./new-network.ts";
import { option, type StoredNetwork } from "./record.ts";
import { DOCKER_BRIDGE, DOCKER_BRIDGE_ADDRESS, type NetworkSettings } from "./settings.ts";

export function predefinedNetwork(name: string, driver: "bridge" | "host" | "null"): StoredNetwork {
  return {
    id: randomBytes(32).toString("hex"),
    name,
    driver,
    created: new Date().toISOString().replace("Z", "000000Z"),
    internal: false,
    attachable: false,
    ingress: false,
    enableIPv4: true,
    enableIPv6: false,
    options: {},
    labels: {},
    ipamDriver: "default",
    ipamOptions: {},
    ipam: [],
    userSubnet: false,
    predefined: true,
    bridgeName: "",
  };
}

export interface DefaultBridgeInput {
  readonly settings: NetworkSettings;
  readonly bridge: ChosenBridge;
  readonly around: NetworkSurroundings;
  /** The record of an earlier start: its id and, unless told otherwise, its subnet stay. */
  readonly before: StoredNetwork | undefined;
  readonly view: HostView;
}

export function defaultBridge(input: DefaultBridgeInput): StoredNetwork {
  const { settings, bridge } = input;
  const { found, ...before } = input.before ?? predefinedNetwork("bridge", "bridge");
  const left = bridge.found ?? (before.bridgeName === bridge.name && hasLink(input) ? found : undefined);
  const address = bridgeAddress(input);
  const { prefix } = parseInterfacePrefix(address);
  const pool = decidePool(
    {
      subnet: formatPrefix(prefix),
      gateway: settings.defaultGateway || formatAddress(parseInterfacePrefix(address).address),
      ...(settings.fixedCidr ? { ipRange: settings.fixedCidr } : {}),
    },
    [],
  );
  return {
    ...before,
    enableIPv6: settings.ipv6,
    bridgeName: bridge.name,
    ...(left ? { found: left } : {}),
    options: {
      [option.defaultBridge]: "true",
      [option.icc]: String(settings.icc),
      [option.masquerade]: String(settings.ipMasq),
      [option.hostBinding]: "0.0.0.0",
      [option.bridgeName]: bridge.name,
      [option.mtu]: String(settings.mtu ?? 1500),
    },
    ipam: [pool, ...(settings.ipv6 ? [pool6(input)] : [])],
  };
}

const hasLink = ({ view, bridge }: DefaultBridgeInput): boolean =>
  view.links.some((link) => link.name === bridge.name && link.kind === "bridge");

/** "172.17.0.1/16": as told, as the existing bridge has it, as it was, as Docker's, or the next free pool. */
function bridgeAddress({ settings, bridge, around, before, view }: DefaultBridgeInput): string {
  if (settings.bip) return settings.bip;
  const link = view.links.find((one) => one.name === bridge.name && one.kind === "bridge");
  const found = view.addresses.find((one) => one.index === link?.index && one.address.family === 4);
  if (found) return `${formatAddress(found.address)}/${found.prefixLength}`;
  const taken = [
    ...around.onLink,
    ...around.existing.flatMap((network) => network.ipam.map((pool) => parsePrefix(pool.subnet ?? ""))),
  ];
  const isFree = (text: string): boolean => !taken.some((prefix) => overlaps(prefix, parsePrefix(text)));
  const stays = settings.bridge === "" || before?.bridgeName === bridge.name;
  const earlier = stays ? before?.ipam[0] : undefined;
  const wanted = earlier
    ? `${earlier.gateway}/${parsePrefix(earlier.subnet!).bits}`
    : bridge.name === DOCKER_BRIDGE
      ? DOCKER_BRIDGE_ADDRESS
      : "";
  if (wanted && isFree(wanted)) return wanted;
  const chosen = choosePool(around.pools, taken);
  return `${formatAddress({ family: 4, value: chosen.base + 1n })}/${chosen.bits}`;
}

function pool6({ around, before }: DefaultBridgeInput) {
  const earlier = before?.ipam.find((pool) => parsePrefix(pool.subnet ?? "").family === 6);
  if (earlier) return earlier;
  const taken = around.existing.flatMap((network) => network.ipam.map((pool) => parsePrefix(pool.subnet ?? "")));
  return decidePool({ subnet: formatPrefix(choosePool(around.pools6, taken)) }, []);
}
