/**
 * Forwarding of packets and the policy of FORWARD, per address family: changed when they have to be, and changed back when the last engine on
 * this host is done. What they were stands in a file of the host's (one per network namespace), not of one engine: the last one undoes it.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { operation } from "../keel/plan.ts";
import { messageOf } from "../platform/errors.ts";
import type { Log } from "../platform/log.ts";
import type { Firewall } from "./firewall/firewall.ts";
import type { Family } from "./firewall/model.ts";
import type { Kernel } from "./kernel.ts";

const DIRECTORY = "/run/hull-host";

const recordPath = (): string => `${DIRECTORY}/forwarding-${statSync("/proc/self/ns/net").ino}.json`;

/** By family that we turned on: the policy of FORWARD before. */
type Changed = Readonly<Partial<Record<Family, string>>>;

const switches: Readonly<Record<Family, readonly string[]>> = {
  4: ["net/ipv4/ip_forward"],
  6: ["net/ipv6/conf/default/forwarding", "net/ipv6/conf/all/forwarding"],
};

const isOn = (family: Family): boolean => readFileSync(`/proc/sys/${switches[family].at(-1)}`, "utf8").trim() === "1";

const set = (kernel: Kernel, family: Family, value: "0" | "1") =>
  kernel.run(
    switches[family].map((name) => operation("sysctl", { name, value }, { cause: "containers reach other networks" })),
  );

export interface ForwardingParts {
  readonly kernel: Kernel;
  readonly log: Log;
  firewalls(family: Family): readonly Firewall[];
}

/**
 * Turns forwarding on. Where it was off, FORWARD's policy becomes DROP: this host must not route for strangers. Returns the sentence that
 * says what is degraded.
 */
export async function ensureForwarding(family: Family, parts: ForwardingParts): Promise<string | undefined> {
  try {
    if (isOn(family)) {
      if (readChanged()[family] !== undefined) parts.firewalls(family)[0]?.keepForwardPolicy("DROP");
      return undefined;
    }
    const before = (await parts.firewalls(family)[0]?.forwardPolicy("DROP")) ?? "ACCEPT";
    writeChanged({ ...readChanged(), [family]: before });
    await set(parts.kernel, family, "1");
    return undefined;
  } catch (error) {
    parts.log.warn(`IPv${family} forwarding cannot be turned on`, { error: messageOf(error) });
    const command = `sysctl -w ${switches[family].at(-1)!.replaceAll("/", ".")}=1`;
    return `IPv${family} forwarding is off (${messageOf(error)}); containers reach the host only: ${command}`;
  }
}

/** For the last engine on this host: what was changed is as it was. */
export async function undoForwarding(parts: ForwardingParts): Promise<void> {
  const changed = readChanged();
  for (const family of [4, 6] as const) {
    const before = changed[family];
    if (before === undefined) continue;
    await set(parts.kernel, family, "0");
    // Also that of iptables, where an engine that has gone set it and this one uses nftables.
    if (before === "ACCEPT") for (const firewall of parts.firewalls(family)) await firewall.forwardPolicy("ACCEPT");
  }
  forgetForwarding();
}

/** No engine is here: a record that is left is of another time (a namespace that is gone may have had this one's number). */
export function forgetForwarding(): void {
  rmSync(recordPath(), { force: true });
  try {
    if (readdirSync(DIRECTORY).length === 0) rmdirSync(DIRECTORY);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Never made, or another engine has just written there.
    if (code !== "ENOENT" && code !== "ENOTEMPTY") throw error;
  }
}

function writeChanged(changed: Changed): void {
  mkdirSync(DIRECTORY, { recursive: true, mode: 0o755 });
  writeFileSync(`${recordPath()}.new`, JSON.stringify(changed));
  renameSync(`${recordPath()}.new`, recordPath());
}

function readChanged(): Changed {
  try {
    return JSON.parse(readFileSync(recordPath(), "utf8")) as Changed;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return {};
    throw error;
  }
}
