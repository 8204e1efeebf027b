/**
 * A network of its own for tests: one namespace that plays the host of an engine, one that plays a machine outside, a cable between them.
 * Disposing of it removes both; engines in it are to be ended before.
 */
import { execFileSync } from "node:child_process";
import { run } from "./engine.ts";

/** Which backend engines use in the tests of this process; files that end in -nftables.test.ts say the other one. */
export const firewallBackend = process.env.HULL_TEST_FIREWALL ?? "iptables";

let made = 0;

export class NetworkLab implements Disposable {
  readonly host4 = "192.0.2.10";
  readonly host6 = "2001:db8:1::10";
  readonly outside4 = "192.0.2.1";
  readonly outside6 = "2001:db8:1::1";
  readonly name = `hulllab${process.pid}x${made++}`;
  readonly #other = `${this.name}o`;

  constructor() {
    for (const name of [this.name, this.#other]) {
      execFileSync("ip", ["netns", "add", name]);
      execFileSync("ip", ["-n", name, "link", "set", "lo", "up"]);
    }
    const cable = ["type", "veth", "peer", "name", "eth0", "netns", this.name];
    execFileSync("ip", ["-n", this.#other, "link", "add", "eth0", ...cable]);
    this.#address(this.name, this.host4, this.host6);
    this.#address(this.#other, this.outside4, this.outside6);
  }

  #address(namespace: string, v4: string, v6: string): void {
    const ip = (...args: string[]) => execFileSync("ip", ["-n", namespace, ...args]);
    ip("link", "set", "eth0", "up");
    ip("addr", "add", `${v4}/24`, "dev", "eth0");
    ip("-6", "addr", "add", `${v6}/64`, "dev", "eth0", "nodad");
  }

  /** What a command is to be preceded by to run on the host. */
  get inside(): readonly string[] {
    return ["nsenter", `--net=/run/netns/${this.name}`];
  }

  get outside(): readonly string[] {
    return ["nsenter", `--net=/run/netns/${this.#other}`];
  }

  /** The output of a script on the host, which must succeed. */
  sh(script: string): string {
    const [program, ...args] = this.inside;
    return execFileSync(program!, [...args, "sh", "-ec", script]).toString();
  }

  /** The rules of both families, without counters. */
  rules(): string {
    return this.sh("iptables-save; ip6tables-save").replace(/^#.*\n|\[\d+:\d+\]/gm, "");
  }

  /** Everything that filters or translates, of iptables (which is nftables here) and of nftables. */
  ruleset(): string {
    return this.sh("nft list ruleset");
  }

  [Symbol.dispose](): void {
    for (const name of [this.name, this.#other]) execFileSync("ip", ["netns", "del", name]);
  }
}

/** As an address stands in an URL. */
export const bracketed = (address: string): string => (address.includes(":") ? `[${address}]` : address);

/** The status that a web server answers; "000" when it cannot be reached. `from`: NetworkLab's inside or outside. */
export async function webStatus(from: readonly string[], address: string, port: number): Promise<string> {
  const url = `http://${bracketed(address)}:${port}/`;
  return (await run([...from, "curl", "-sg", "-m", "2", "-o", "/dev/null", "-w", "%{http_code}", url], {})).stdout;
}

/** What a UDP server answers to a datagram; empty when nothing comes within a second. */
export async function datagram(from: readonly string[], address: string, port: number): Promise<string> {
  const ask = new URL("udp-ask.ts", import.meta.url).pathname;
  return (await run([...from, process.execPath, ask, address, String(port)], {})).stdout;
}
