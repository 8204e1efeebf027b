/**
 * Keeps the host's rules as the networks want them, by nftables: a table of the engine's own per family, replaced as a whole in one
 * transaction when networks change, changed by elements when ports do.
 *
 * Lifecycle: as Firewall's. What the kernel shows right after a replacement is what `verify` compares with.
 */
import { during, HullError } from "../../platform/errors.ts";
import type { Kernel } from "../kernel.ts";
import { command } from "./command.ts";
import { type Firewall, type FirewallState, findTool, type Policy } from "./firewall.ts";
import type { Family } from "./model.ts";
import { type Listing, parseListing } from "./nftables-listing.ts";
import { type Rendered, renderTable, replaceScript, stepScript } from "./nftables-render.ts";
import { TurnTaker } from "./turn-taker.ts";

/** What the kernel is known to have. */
interface Applied {
  readonly rendered: Rendered;
  /** Undefined: no table. */
  readonly listing: Listing | undefined;
}

export class NftablesFirewall implements Firewall {
  #input: FirewallState["input"] = { networks: [], forwards: [], masquerade: true };
  #guard = false;
  #applied: Applied | undefined;
  #next: Promise<void> | undefined;
  #ownCommits = 0;
  readonly #turns = new TurnTaker();

  constructor(
    private readonly kernel: Kernel,
    readonly family: Family,
    /** Of the table. */
    readonly name: string,
  ) {}

  async probe(): Promise<string | undefined> {
    if (!findTool("nft")) return "nft is not installed";
    const check = replaceScript(this.family, this.name, { structure: "chain x {\n}", rules: 0, elements: NOTHING });
    const result = await this.#nft(["-c", "-f", "-"], check);
    return result.status === 0 ? undefined : `nft: ${result.stderr.trim()}`;
  }

  want(state: FirewallState): Promise<void> {
    this.#input = state.input;
    this.#next ??= this.#turns.run(() => {
      this.#next = undefined;
      return this.#apply();
    });
    return this.#next;
  }

  verify(): Promise<string[]> {
    return this.#turns.run(async () => {
      const wrong = await this.#differences();
      if (wrong.length > 0) await this.#replace(this.#rendered());
      return wrong;
    });
  }

  tearDown(): Promise<boolean> {
    return this.#turns.run(async () => {
      this.#input = { ...this.#input, networks: [], forwards: [] };
      const isGone = this.#applied?.rendered.structure === "" || !(await this.#list());
      if (!isGone) await this.#replace(this.#rendered());
      return false;
    });
  }

  /** There is no policy to set, which would be other engines' too: the table drops what no bridge has to do with. */
  async forwardPolicy(policy: Policy): Promise<string> {
    this.keepForwardPolicy(policy);
    await this.#turns.run(() => this.#apply());
    return "ACCEPT";
  }

  keepForwardPolicy(policy: Policy): void {
    this.#guard = policy === "DROP";
  }

  takeOwnCommits(): number {
    const count = this.#ownCommits;
    this.#ownCommits = 0;
    return count;
  }

  get busy(): boolean {
    return this.#turns.busy;
  }

  #rendered(): Rendered {
    return renderTable(this.family, { ...this.#input, guard: this.#guard });
  }

  async #apply(): Promise<void> {
    const rendered = this.#rendered();
    if (!this.#applied && rendered.structure === "" && !(await this.#list()))
      this.#applied = { rendered, listing: undefined };
    const before = this.#applied?.rendered;
    if (!before || before.structure !== rendered.structure) return this.#replace(rendered);
    const step = stepScript(this.family, this.name, { before: before.elements, after: rendered.elements });
    if (step === "") return undefined;
    // Refused: the kernel has something else than we believed.
    if (!(await this.#try(step))) return this.#replace(rendered);
    this.#applied = { ...this.#applied!, rendered };
    return undefined;
  }

  async #replace(rendered: Rendered): Promise<void> {
    this.#applied = undefined;
    await this.#run(replaceScript(this.family, this.name, rendered));
    const listing = await this.#list();
    if ((listing?.rules ?? 0) !== rendered.rules)
      throw new HullError("aborted", `${this.#table} changed while it was made`);
    this.#applied = { rendered, listing };
  }

  /** In what the kernel differs from what is wanted, as texts. */
  async #differences(): Promise<string[]> {
    const now = await this.#list();
    const rendered = this.#rendered();
    if (!now) return rendered.structure === "" ? [] : [this.#table];
    if (now.structure !== this.#applied?.listing?.structure) return [`rules of ${this.#table}`];
    const step = stepScript(this.family, this.name, { before: now.elements, after: rendered.elements });
    return step.split("\n").filter((line) => line !== "");
  }

  get #table(): string {
    return `table ${this.family === 4 ? "ip" : "ip6"} ${this.name}`;
  }

  /** Undefined: there is no such table. */
  async #list(): Promise<Listing | undefined> {
    const result = await this.#nft(["-j", "list", ...this.#table.split(" ")], "");
    if (result.status === 0) return parseListing(result.stdout);
    if (/No such file or directory/.test(result.stderr)) return undefined;
    throw new HullError("internal", `nft: ${result.stderr.trim()}`);
  }

  async #try(script: string): Promise<boolean> {
    const result = await this.#nft(["-f", "-"], script);
    if (result.status === 0) this.#ownCommits++;
    return result.status === 0;
  }

  async #run(script: string): Promise<void> {
    const result = await this.#nft(["-f", "-"], script);
    if (result.status !== 0) throw new HullError("internal", `nft: ${result.stderr.trim()}`);
    this.#ownCommits++;
  }

  async #nft(args: readonly string[], stdin: string) {
    const tool = findTool("nft");
    if (!tool) throw new HullError("failed-precondition", "nft is not installed");
    try {
      return await command(this.kernel, [tool, ...args], stdin);
    } catch (error) {
      throw during("nft", error);
    }
  }
}

const NOTHING = { open: [], any: [], one: [] };
