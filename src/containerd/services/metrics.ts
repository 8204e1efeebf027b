import type { TaskHost } from "../tasks/task-host.ts";
export async function taskMetrics(_host: TaskHost, _namespace: string, _filters: readonly string[]) {
  return [];
}
