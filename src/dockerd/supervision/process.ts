/** Looking at and ending processes by id. */
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { type RoleName, roleInvocation } from "../../platform/paths.ts";

/** A zombie is not alive: whose child it is may take its time to reap it. */
export function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return !/^ [ZX]/.test(stat.slice(stat.lastIndexOf(")") + 1));
  } catch {
    return false; // No such entry: the process is gone.
  }
}

/** True when the process was started with exactly these arguments of that role. */
export async function matchesCommand(pid: number, role: RoleName, args: readonly string[]): Promise<boolean> {
  const line = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => undefined);
  if (line === undefined) return false;
  const words = line.split("\0").slice(0, -1);
  return words.slice(-args.length).join("\0") === args.join("\0") && words.length === expectedLength(role, args);
}

const expectedLength = (role: RoleName, args: readonly string[]): number =>
  1 + roleInvocation(role).args.length + args.length;

/** SIGTERM, then SIGKILL after the deadline; resolves when the process is gone. */
export async function terminateProcess(pid: number, deadlineMs: number): Promise<void> {
  const deadline = Date.now() + deadlineMs;
  signal(pid, "SIGTERM");
  while (isAlive(pid)) {
    if (Date.now() > deadline) signal(pid, "SIGKILL");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // ESRCH: it is gone, which is what was wanted.
  }
}
