/** Published ports: what a container's configuration asks for and what inspect shows. Pure. */
import type { PortRequest, PublishedPort } from "../../network/api.ts";
import type { PortBinding, PortMap } from "./config.ts";
import { invalid } from "./create/refusal.ts";
import type { ContainerRecord } from "./record.ts";

/** -p and, with -P, every exposed port that no -p names. */
export function portRequests({ config, hostConfig }: ContainerRecord, defaultIp: string): PortRequest[] {
  const bound = Object.entries(hostConfig.PortBindings).flatMap(([spec, bindings]) =>
    portsOf(spec).flatMap((port) =>
      (bindings?.length ? bindings : [{ HostIp: "", HostPort: "" }]).map((binding) =>
        requestOf(port, binding, defaultIp),
      ),
    ),
  );
  if (!hostConfig.PublishAllPorts) return bound;
  const named = new Set(bound.map((request) => `${request.containerPort}/${request.proto}`));
  const exposed = Object.keys(config.ExposedPorts ?? {})
    .flatMap(portsOf)
    .filter((port) => !named.has(`${port.number}/${port.proto}`));
  return [...bound, ...exposed.map((port) => requestOf(port, { HostIp: "", HostPort: "" }, defaultIp))];
}

interface Port {
  readonly number: number;
  readonly proto: "tcp" | "udp";
}

/** "8000-8010/udp" -> each of them. Checked at create. */
export function portsOf(spec: string): Port[] {
  const [range = "", protocol = "tcp"] = spec.split("/");
  const proto = protocol.toLowerCase();
  if (proto !== "tcp" && proto !== "udp")
    throw invalid(`publishing ${spec}: the protocol ${protocol} is not supported yet`);
  const [first = 0, last = first] = range.split("-").map(Number);
  return Array.from({ length: last - first + 1 }, (_, i) => ({ number: first + i, proto }));
}

function requestOf(port: Port, binding: PortBinding, defaultIp: string): PortRequest {
  const [first = 0, last = first] = binding.HostPort === "" ? [] : binding.HostPort.split("-").map(Number);
  return {
    proto: port.proto,
    containerPort: port.number,
    hostIp: binding.HostIp || defaultIp,
    hostPort: first,
    ...(last !== first && { hostPortEnd: last }),
  };
}

/** NetworkSettings.Ports: exposed ones without a binding are null. */
export function portMap({ config }: ContainerRecord, published: readonly PublishedPort[]): PortMap {
  const map: Record<string, PortBinding[] | null> = {};
  for (const port of Object.keys(config.ExposedPorts ?? {}).sort(byNumber)) map[port] = null;
  for (const { containerPort, proto, hostIp, hostPort } of published) {
    const key = `${containerPort}/${proto}`;
    map[key] = [...(map[key] ?? []), { HostIp: hostIp, HostPort: String(hostPort) }];
  }
  return map;
}

const byNumber = (a: string, b: string): number => Number.parseInt(a, 10) - Number.parseInt(b, 10);
