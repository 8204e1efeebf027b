/** Pull limits as registries tell them: `ratelimit-limit: 100;w=21600`, `ratelimit-remaining: 76;w=21600`. */
export interface RateLimit {
  readonly limit: number;
  readonly remaining: number;
  readonly windowSeconds: number;
  /** Address or account that is counted; "" where it is not said. */
  readonly source: string;
}

type Headers = { get(name: string): string | null };

export function readRateLimit(headers: Headers): RateLimit | undefined {
  const [limit, remaining] = [parts(headers.get("ratelimit-limit")), parts(headers.get("ratelimit-remaining"))];
  if (limit === undefined || remaining === undefined) return undefined;
  const windowSeconds = remaining.window ?? limit.window ?? 0;
  return {
    limit: limit.count,
    remaining: remaining.count,
    windowSeconds,
    source: headers.get("docker-ratelimit-source") ?? "",
  };
}

function parts(header: string | null): { count: number; window: number | undefined } | undefined {
  const match = /^\s*(\d+)\s*(?:;\s*w=(\d+))?/.exec(header ?? "");
  if (!match) return undefined;
  return { count: Number(match[1]), window: match[2] === undefined ? undefined : Number(match[2]) };
}

/** "76 of 100 pulls left for 6 h" */
export function formatRateLimit({ limit, remaining, windowSeconds }: RateLimit): string {
  const hours = windowSeconds / 3600;
  const window =
    windowSeconds === 0 ? "" : ` for ${hours >= 1 ? `${Math.round(hours)} h` : `${Math.ceil(windowSeconds / 60)} min`}`;
  return `${remaining} of ${limit} pulls left${window}`;
}
