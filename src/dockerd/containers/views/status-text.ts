/** "Up 5 minutes (healthy)", "Exited (0) 3 seconds ago": the sentences of docker ps. Pure. */
import type { Health } from "../record.ts";
import { type ContainerState, NEVER } from "../state.ts";

/** Go units.HumanDuration. */
export function humanDuration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 1) return "Less than a second";
  if (seconds === 1) return "1 second";
  if (seconds < 60) return `${seconds} seconds`;
  const minutes = Math.floor(seconds / 60);
  if (minutes === 1) return "About a minute";
  if (minutes < 60) return `${minutes} minutes`;
  const hours = Math.floor(seconds / 3600 + 0.5);
  if (hours === 1) return "About an hour";
  if (hours < 48) return `${hours} hours`;
  if (hours < 24 * 7 * 2) return `${Math.floor(hours / 24)} days`;
  if (hours < 24 * 30 * 2) return `${Math.floor(hours / 24 / 7)} weeks`;
  if (hours < 24 * 365 * 2) return `${Math.floor(hours / 24 / 30)} months`;
  return `${Math.floor(seconds / 3600 / 24 / 365)} years`;
}

export function statusText(state: ContainerState, health: Health | undefined, nowMs: number): string {
  const since = (time: string): string => humanDuration(nowMs - Date.parse(time));
  switch (state.kind) {
    case "running":
      return `Up ${since(state.startedAt)}${healthText(health)}`;
    case "paused":
      return `Up ${since(state.startedAt)} (Paused)`;
    case "restarting":
      return `Restarting (${state.exitCode}) ${since(state.finishedAt)} ago`;
    case "removing":
      return "Removal In Progress";
    case "dead":
      return "Dead";
    case "created":
      return "Created";
    case "exited":
      return state.finishedAt === NEVER ? "" : `Exited (${state.exitCode}) ${since(state.finishedAt)} ago`;
  }
}

const healthText = (health: Health | undefined): string => {
  if (!health) return "";
  return health.status === "starting" ? " (health: starting)" : ` (${health.status})`;
};
