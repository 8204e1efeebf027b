/**
 * ip_forward and the policy of FORWARD: changed when they have to be, and changed back when the last engine on this host is done.
 * What they were stands in a file of the host's (one per network namespace), not of one engine: the last one undoes it.
 */
import { mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { operation } from "../keel/plan.ts";
import { messageOf } from "../platform/errors.ts";
import type { Log } from "../platform/log.ts";
import type { Firewall } from "./firewall/firewall.ts";
import type { Kernel } from "./kernel.ts";

const DIRECTORY = "/run/hull-host";

const recordPath = (): string => `${DIRECTORY}/forwarding-${statSync("/proc/self/ns/net").ino}.json`;

interface Changed {
  readonly policyBefore: string;
}

const isOn = (): boolean => readFileSync("/proc/sys/net/ipv4/ip_forward", "utf8").trim() === "1";

const set = (kernel: Kernel, value: "0" | "1") =>
  kernel.run([
    operation("sysctl", { name: "net/ipv4/ip_forward", value }, { cause: "containers reach other networks" }),
  ]);

/** Turns forwarding on. Where it was off, FORWARD's policy becomes DROP: this host must not route for strangers. Returns what is degraded. */
export async function ensureForwarding(kernel: Kernel, firewall: Firewall | undefined, log: Log): Promise<string[]> {
  try {
    if (isOn()) return [];
    const policyBefore = (await firewall?.forwardPolicy("DROP")) ?? "ACCEPT";
    mkdirSync(DIRECTORY, { recursive: true, mode: 0o755 });
    writeFileSync(recordPath(), JSON.stringify({ policyBefore } satisfies Changed));
    await set(kernel, "1");
    return [];
  } catch (error) {
    log.warn("IPv4 forwarding cannot be turned on", { error: messageOf(error) });
    return [
      `IPv4 forwarding is off (${messageOf(error)}); containers reach the host only: sysctl -w net.ipv4.ip_forward=1`,
    ];
  }
}

/** `othersLeft`: another engine still has rules here; what was changed stays, for the last one to undo. */
export async function undoForwarding(
  kernel: Kernel,
  firewall: Firewall | undefined,
  othersLeft: boolean,
): Promise<void> {
  if (othersLeft) return;
  const changed = readChanged();
  if (!changed) return;
  await set(kernel, "0");
  if (changed.policyBefore === "ACCEPT") await firewall?.forwardPolicy("ACCEPT");
  rmSync(recordPath(), { force: true });
  if (readdirSync(DIRECTORY).length === 0) rmdirSync(DIRECTORY);
}

function readChanged(): Changed | undefined {
  try {
    return JSON.parse(readFileSync(recordPath(), "utf8")) as Changed;
  } catch {
    return undefined;
  }
}
