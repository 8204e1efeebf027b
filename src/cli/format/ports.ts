/** The PORTS column: "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp", ranges folded. */
export interface Port {
  readonly IP?: string;
  readonly PrivatePort: number;
  readonly PublicPort?: number;
  readonly Type: string;
}

interface Group {
  readonly ip: string;
  readonly type: string;
  first: number;
  last: number;
}

/** As docker orders them: ranges that were broken off, then the groups, then what has another number on the host. */
export function formatPorts(ports: readonly Port[]): string {
  const groups = new Map<string, Group>();
  const broken: string[] = [];
  const mapped: string[] = [];
  for (const { IP: ip = "", PrivatePort: port, PublicPort, Type: type } of [...ports].sort(byAddressThenPort)) {
    if (ip !== "" && PublicPort !== port) {
      mapped.push(`${hostPort(ip, String(PublicPort ?? 0))}->${port}/${type}`);
      continue;
    }
    const key = `${ip}/${type}`;
    const group = groups.get(key);
    if (group && port === group.last + 1) group.last = port;
    else {
      if (group) broken.push(formatGroup(group));
      groups.set(key, { ip, type, first: port, last: port });
    }
  }
  return [...broken, ...[...groups.values()].map(formatGroup), ...mapped].join(", ");
}

const hostPort = (ip: string, port: string): string => (ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`);

function formatGroup({ ip, type, first, last }: Group): string {
  const range = first === last ? `${first}` : `${first}-${last}`;
  return `${ip === "" ? "" : `${hostPort(ip, range)}->`}${range}/${type}`;
}

function byAddressThenPort(a: Port, b: Port): number {
  if (a.PrivatePort !== b.PrivatePort) return a.PrivatePort - b.PrivatePort;
  if ((a.IP ?? "") !== (b.IP ?? "")) return (a.IP ?? "") < (b.IP ?? "") ? -1 : 1;
  if ((a.PublicPort ?? 0) !== (b.PublicPort ?? 0)) return (a.PublicPort ?? 0) - (b.PublicPort ?? 0);
  return a.Type < b.Type ? -1 : 1;
}
