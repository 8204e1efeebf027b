/** -p and --expose: `[hostIP:][hostPort[-end]:]containerPort[-end][/proto]` (docker's nat.ParsePortSpecs). */
import { HullError } from "../../platform/errors.ts";
import { isAddress } from "./addresses.ts";

export interface PortBinding {
  readonly HostIp: string;
  readonly HostPort: string;
}

export type PortMap = Record<string, PortBinding[]>;

const refuse = (text: string): HullError => new HullError("invalid-argument", text);

/** Throws invalid-argument in docker's words. */
export function parsePublished(specs: readonly string[]): { exposed: string[]; bindings: PortMap } {
  const bindings: PortMap = {};
  for (const spec of specs) {
    for (const [port, binding] of parsePortSpec(spec)) {
      bindings[port] ??= [];
      bindings[port].push(binding);
    }
  }
  return { exposed: Object.keys(bindings), bindings };
}

function parsePortSpec(spec: string): [string, PortBinding][] {
  if (spec.includes("=")) return parsePortSpec(longSyntax(spec));
  const { hostIp, hostPort, containerPort } = splitSpec(spec);
  const [portText, proto = "tcp"] = containerPort.split("/") as [string, string?];
  if (!["tcp", "udp", "sctp"].includes(proto.toLowerCase())) throw refuse(`invalid proto: ${proto}`);
  if (portText === "") throw refuse(`no port specified: ${spec}<empty>`);
  if (hostIp !== "" && !isAddress(hostIp)) throw refuse(`invalid IP address: ${hostIp}`);
  const target = parseRange(portText, "containerPort");
  const host = hostPort === "" ? undefined : parseRange(hostPort, "hostPort");
  if (host && host.end - host.start !== target.end - target.start && target.start !== target.end) {
    throw refuse(`invalid ranges specified for container and host Ports: ${portText} and ${hostPort}`);
  }
  return Array.from({ length: target.end - target.start + 1 }, (_, i) => [
    `${target.start + i}/${proto.toLowerCase()}`,
    { HostIp: hostIp, HostPort: hostPortText(host, target.start === target.end, i) },
  ]);
}

interface Range {
  readonly start: number;
  readonly end: number;
}

function hostPortText(host: Range | undefined, single: boolean, i: number): string {
  if (!host) return "";
  return single && host.end !== host.start ? `${host.start}-${host.end}` : String(host.start + i);
}

function splitSpec(spec: string): { hostIp: string; hostPort: string; containerPort: string } {
  const v6 = /^\[([^\]]*)\]:?(.*)$/.exec(spec);
  const rest = v6 ? v6[2]! : spec;
  const parts = rest.split(":");
  if (v6) return { hostIp: v6[1]!, hostPort: parts.length > 1 ? parts[0]! : "", containerPort: parts.at(-1)! };
  if (parts.length === 1) return { hostIp: "", hostPort: "", containerPort: parts[0]! };
  if (parts.length === 2) return { hostIp: "", hostPort: parts[0]!, containerPort: parts[1]! };
  return { hostIp: parts.slice(0, -2).join(":"), hostPort: parts.at(-2)!, containerPort: parts.at(-1)! };
}

/** published=8080,target=80,protocol=tcp */
function longSyntax(spec: string): string {
  const fields = new Map(spec.split(",").map((field) => field.split("=") as [string, string]));
  for (const key of fields.keys()) {
    if (!["published", "target", "protocol", "mode"].includes(key)) throw refuse(`invalid field key: ${key}`);
  }
  if (!fields.has("target")) throw refuse(`missing mandatory field "target": ${spec}`);
  const published = fields.has("published") ? `${fields.get("published")}:` : "";
  return `${published}${fields.get("target")}/${fields.get("protocol") ?? "tcp"}`;
}

export function parseRange(text: string, what: string): Range {
  const match = /^(\d+)(?:-(\d+))?$/.exec(text);
  const start = Number(match?.[1]);
  const end = Number(match?.[2] ?? match?.[1]);
  if (!match || start > 65535 || end > 65535 || end < start) throw refuse(`invalid ${what}: ${text}`);
  return { start, end };
}

/** --expose: ports and ranges without a host side. */
export function parseExposed(specs: readonly string[]): string[] {
  return specs.flatMap((spec) => {
    if (spec.includes(":")) throw refuse(`invalid port format for --expose: ${spec}`);
    const [text, proto = "tcp"] = spec.split("/") as [string, string?];
    const match = /^(\d+)(?:-(\d+))?$/.exec(text);
    if (!match)
      throw refuse(
        `invalid range format for --expose: ${spec}, error: strconv.ParseUint: parsing ${JSON.stringify(text.split("-").find((part) => !/^\d+$/.test(part)) ?? text)}: invalid syntax`,
      );
    const { start, end } = parseRange(text, "port");
    return Array.from({ length: end - start + 1 }, (_, i) => `${start + i}/${proto}`);
  });
}
