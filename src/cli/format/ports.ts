/** The PORTS column: "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp", ranges folded. */
export interface Port {
  readonly IP?: string;
  readonly PrivatePort: number;
  readonly PublicPort?: number;
  readonly Type: string;
}

interface Run {
  readonly ip: string;
  readonly type: string;
  readonly published: boolean;
  first: { own: number; host: number };
  last: { own: number; host: number };
}

export function formatPorts(ports: readonly Port[]): string {
  const runs: Run[] = [];
  for (const port of [...ports].sort(byAddressThenPort)) {
    const at = { own: port.PrivatePort, host: port.PublicPort ?? 0 };
    const key = { ip: port.IP ?? "", type: port.Type, published: at.host > 0 };
    const run = runs.find((candidate) => continues(candidate, key, at));
    if (run) run.last = at;
    else runs.push({ ...key, first: at, last: at });
  }
  return runs.map(formatRun).join(", ");
}

function continues(run: Run, key: Pick<Run, "ip" | "type" | "published">, at: Run["first"]): boolean {
  const same = run.ip === key.ip && run.type === key.type && run.published === key.published;
  const follows = at.own === run.last.own + 1 && (!key.published || at.host === run.last.host + 1);
  // docker folds a range only where both sides have the same numbers.
  return same && follows && (!key.published || at.own === at.host);
}

function formatRun(run: Run): string {
  const range = (from: number, to: number) => (from === to ? `${from}` : `${from}-${to}`);
  const own = `${range(run.first.own, run.last.own)}/${run.type}`;
  if (!run.published) return own;
  const ip = run.ip.includes(":") ? `[${run.ip}]` : run.ip;
  return `${ip === "" ? "" : `${ip}:`}${range(run.first.host, run.last.host)}->${own}`;
}

function byAddressThenPort(a: Port, b: Port): number {
  if (a.PrivatePort !== b.PrivatePort) return a.PrivatePort - b.PrivatePort;
  if ((a.IP ?? "") !== (b.IP ?? "")) return (a.IP ?? "") < (b.IP ?? "") ? -1 : 1;
  if ((a.PublicPort ?? 0) !== (b.PublicPort ?? 0)) return (a.PublicPort ?? 0) - (b.PublicPort ?? 0);
  return a.Type < b.Type ? -1 : 1;
}
