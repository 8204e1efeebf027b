/** The ports of EXPOSE: "80", "8000-8002/udp", "127.0.0.1:80:80/tcp" (where only the container's side counts). */
import { isIP } from "node:net";
import { HullError } from "../../platform/errors.ts";

/** "80/tcp" for each port, in order. Throws invalid-argument in Docker's words. */
export const parsePorts = (words: readonly string[]): readonly string[] => words.flatMap(parsePort);

const bad = (message: string): HullError => new HullError("invalid-argument", message);

function parsePort(word: string): readonly string[] {
  const parts = word.split(":");
  const container = parts.at(-1)!;
  const hostPort = parts.length > 1 ? parts.at(-2)! : "";
  const address = parts.slice(0, -2).join(":");
  const [ports, protocol] = splitProtocol(container, word);
  if (address !== "" && isIP(address.replace(/^\[(.*)\]$/, "$1")) === 0) throw bad(`invalid IP address: ${address}`);
  const range = parseRange(ports);
  if (range === undefined) throw bad(`invalid containerPort: ${ports}`);
  if (hostPort !== "") checkHostPort(hostPort, range, ports);
  const count = range.end - range.start + 1;
  return Array.from({ length: count }, (_, index) => `${range.start + index}/${protocol}`);
}

function splitProtocol(text: string, word: string): readonly [ports: string, protocol: string] {
  const slash = text.indexOf("/");
  const ports = slash < 0 ? text : text.slice(0, slash);
  if (ports === "") throw bad(`no port specified: ${word}<empty>`);
  const protocol = (slash < 0 ? "" : text.slice(slash + 1)).toLowerCase() || "tcp";
  if (!["tcp", "udp", "sctp"].includes(protocol)) throw bad(`invalid proto: ${protocol}`);
  return [ports, protocol];
}

interface PortRange {
  readonly start: number;
  readonly end: number;
}

function checkHostPort(text: string, container: PortRange, ports: string): void {
  const host = parseRange(text);
  if (host === undefined) throw bad(`invalid hostPort: ${text}`);
  const isRange = container.end !== container.start;
  if (isRange && host.end - host.start !== container.end - container.start) {
    throw bad(`invalid ranges specified for container and host Ports: ${ports} and ${text}`);
  }
}

function parseRange(text: string): PortRange | undefined {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  if (match === null) return undefined;
  const start = Number(match[1]);
  const end = Number(match[2] ?? match[1]);
  return end > 65535 || end < start ? undefined : { start, end };
}
