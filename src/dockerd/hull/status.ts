/** GET /hull/v1/status: the engine's own processes and what is degraded. From memory. */
import type { Route } from "../http/route.ts";

export interface DaemonStatus {
  readonly name: string;
  readonly pid: number;
  /** running, starting, restarting */
  readonly state: string;
  readonly restarts: number;
}

export interface StatusPort {
  readonly daemons: () => readonly DaemonStatus[];
  readonly degraded: () => readonly string[];
}

export const statusRoutes = (status: StatusPort): readonly Route[] => [
  {
    method: "GET",
    path: "/hull/v1/status",
    untraced: true,
    handler: (_request, response) => response.json(200, { daemons: status.daemons(), degraded: status.degraded() }),
  },
];
