/**
 * Keeps the host's rules as the networks want them, by iptables.
 *
 * Lifecycle: `probe` says whether the host can do it -> `want` on every change (merged: one restore for all that came in meanwhile; it
 * resolves when the rules are in) -> `verify` compares with the kernel and repairs -> `tearDown` takes away what is ours and the chains
 * that nobody else uses.
 */
import { existsSync } from "node:fs";
import { during, HullError } from "../../platform/errors.ts";
import type { Kernel } from "../kernel.ts";
import { type CommandResult, command } from "./command.ts";
import { type Dump, type Ownership, parseDump } from "./dump.ts";
import { input as examples } from "./examples.ts";
import { lostPolicy, planChange, planStep, planTeardown } from "./iptables.ts";
import { type Family, type FirewallInput, firewallRules, type Rule, sharedRules } from "./model.ts";
import { TurnTaker } from "./turn-taker.ts";

export interface FirewallState {
  readonly input: FirewallInput;
  readonly ownership: Ownership;
}

export type Policy = "ACCEPT" | "DROP";

/** A backend of the firewall, of one address family. */
export interface Firewall {
  readonly family: Family;
  /** Undefined: this host can; else the sentence that says why not. */
  probe(): Promise<string | undefined>;
  want(state: FirewallState): Promise<void>;
  /** The texts of what had to be put back or taken away. */
  verify(): Promise<string[]>;
  /** True: another engine's rules stand in the shared chains. */
  tearDown(): Promise<boolean>;
  /** Sets the policy of FORWARD and returns what it was. It is set again when the whole chain was lost, not when somebody sets another. */
  forwardPolicy(policy: Policy): Promise<string>;
  /** It was set by an earlier process. */
  keepForwardPolicy(policy: Policy): void;
  /** Changes of the kernel's rule set that are of our making since the last call, for telling them from others'. */
  takeOwnCommits(): number;
  readonly busy: boolean;
}

const searchPath = ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin"];

export function findTool(name: string): string | undefined {
  return searchPath.map((directory) => `${directory}/${name}`).find((path) => existsSync(path));
}

interface Wanted {
  readonly rules: readonly Rule[];
  readonly ownership: Ownership;
}

/** The sentence that says it, without the hint at the tool's own help below it. */
const reason = (stderr: string): string =>
  stderr
    .split("\n")
    .filter((line) => line.trim() !== "" && !/^(Error occurred at line|Try `)/.test(line))
    .join("; ");

const EMPTY: Wanted = { rules: [], ownership: { bridges: new Set(), subnets: [] } };

export class IptablesFirewall implements Firewall {
  #wanted: Wanted = EMPTY;
  /** What the kernel is known to have; undefined: unknown, look first. */
  #applied: readonly Rule[] | undefined;
  #next: Promise<void> | undefined;
  #policy: Policy | undefined;
  #ownCommits = 0;
  readonly #turns = new TurnTaker();

  constructor(
    private readonly kernel: Kernel,
    readonly family: Family,
    /** A step failed because the kernel had something else; everything is compared next. */
    private readonly onMismatch: (error: unknown) => void = () => {},
    private readonly render: typeof firewallRules = firewallRules,
  ) {}

  async probe(): Promise<string | undefined> {
    const tool = this.#tool("restore");
    if (!tool) return `${this.#name("restore")} is not installed`;
    // A host may have the tables and lack an extension: it is asked for rules of every kind.
    const { restore } = planChange(new Map(), this.render(this.family, examples), EMPTY.ownership);
    const result = await this.#command([tool, "--noflush", "--wait", "--test"], restore);
    return result.status === 0 ? undefined : `${this.#name("restore")}: ${reason(result.stderr)}`;
  }

  want(state: FirewallState): Promise<void> {
    this.#wanted = { rules: this.render(this.family, state.input), ownership: state.ownership };
    this.#next ??= this.#turns.run(() => {
      this.#next = undefined;
      return this.#apply();
    });
    return this.#next;
  }

  verify(): Promise<string[]> {
    return this.#turns.run(() => this.#repair());
  }

  tearDown(): Promise<boolean> {
    return this.#turns.run(async () => {
      const shared = sharedRules(this.family);
      const ownership = this.#wanted.ownership;
      await this.#restore(planChange(await this.#dump(), [], ownership).restore);
      await this.#restore(planTeardown(await this.#dump(), shared));
      this.#wanted = EMPTY;
      this.#applied = [];
      const left = (await this.#dump()).get("filter")?.chains;
      return ["DOCKER", "DOCKER-FORWARD"].some((chain) => left?.has(chain));
    });
  }

  keepForwardPolicy(policy: Policy): void {
    this.#policy = policy;
  }

  async forwardPolicy(policy: Policy): Promise<string> {
    return this.#turns.run(async () => {
      this.#policy = policy;
      const before = (await this.#dump()).get("filter")?.policies.get("FORWARD") ?? "ACCEPT";
      if (before !== policy) await this.#restore(`*filter\n-P FORWARD ${policy}\nCOMMIT\n`);
      return before;
    });
  }

  takeOwnCommits(): number {
    const count = this.#ownCommits;
    this.#ownCommits = 0;
    return count;
  }

  get busy(): boolean {
    return this.#turns.busy;
  }

  async #apply(): Promise<void> {
    const { rules } = this.#wanted;
    if (this.#applied) {
      try {
        await this.#restore(planStep(this.#applied, rules));
        this.#applied = rules;
        return;
      } catch (error) {
        this.onMismatch(error);
        // The kernel has something else than we believed: look, then do it properly.
        this.#applied = undefined;
      }
    }
    await this.#repair();
  }

  async #repair(): Promise<string[]> {
    const { rules, ownership } = this.#wanted;
    const dump = await this.#dump();
    const change = planChange(dump, rules, ownership);
    const policy = this.#applied ? lostPolicy(dump, change.missing, this.#policy) : "";
    await this.#restore(change.restore + policy);
    this.#applied = rules;
    const missing = change.missing.map((rule) => `${rule.table} ${rule.chain} ${rule.text}`);
    if (policy !== "") missing.unshift("filter FORWARD policy");
    return change.stale > 0 ? [...missing, `${change.stale} stale rules`] : missing;
  }

  async #dump(): Promise<Dump> {
    const tool = this.#tool("save");
    if (!tool) throw new HullError("failed-precondition", `${this.#name("save")} is not installed`);
    const result = await this.#command([tool], "");
    if (result.status !== 0) throw new HullError("internal", `${this.#name("save")}: ${result.stderr.trim()}`);
    return parseDump(result.stdout);
  }

  async #restore(input: string): Promise<void> {
    if (input === "") return;
    const tool = this.#tool("restore");
    if (!tool) throw new HullError("failed-precondition", `${this.#name("restore")} is not installed`);
    const result = await this.#command([tool, "--noflush", "--wait"], input);
    if (result.status !== 0) {
      throw new HullError("internal", `${this.#name("restore")}: ${result.stderr.trim()}`);
    }
    this.#ownCommits += input.split("\n").filter((line) => line === "COMMIT").length;
  }

  async #command(argv: readonly string[], stdin: string): Promise<CommandResult> {
    try {
      return await command(this.kernel, argv, stdin);
    } catch (error) {
      throw during(argv[0] ?? "", error);
    }
  }

  #name(what: "save" | "restore"): string {
    return this.family === 4 ? `iptables-${what}` : `ip6tables-${what}`;
  }

  #tool(what: "save" | "restore"): string | undefined {
    return findTool(this.#name(what));
  }
}
