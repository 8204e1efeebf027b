/**
 * Notices when somebody else changed what is ours, and has it put back.
 *
 * Lifecycle: `start` asks keel for the kernel's notices -> `notice` for each of them -> repairs, at most one at a time -> `stop`. After
 * more than MAX_REPAIRS in a minute it backs off and names who keeps changing things.
 */
import { messageOf } from "../platform/errors.ts";
import type { Log } from "../platform/log.ts";
import type { Kernel } from "./kernel.ts";
import { decodeLostAddress } from "./netlink/address.ts";
import { decodeLink, type Link, RTM_DELLINK } from "./netlink/link.ts";
import { decodeMessages, NETLINK_NETFILTER, NETLINK_ROUTE } from "./netlink/message.ts";
import { decodeGeneration, NFTABLES_GROUP_MASK } from "./netlink/nftables.ts";

export interface WatcherParts {
  readonly kernel: Kernel;
  readonly log: Log;
  /** The interface is a bridge of ours, or was until now. */
  isOurBridge(link: { readonly name: string } | { readonly index: number }): boolean;
  /** Of interfaces of ours. */
  readonly group: number;
  /** Our own changes of the rule set since the last call. */
  takeOwnCommits(): number;
  isChangingRules(): boolean;
  /** Each returns the texts of what was repaired. */
  healRules(): Promise<string[]>;
  healLinks(): Promise<string[]>;
  /** iptables-legacy tells nobody: then rules are compared every second. */
  readonly pollsRules: boolean;
  repaired(what: readonly string[], offender: string): void;
  backedOff(offender: string): void;
}

const RULES_WATCH = 1;
const LINKS_WATCH = 2;
/** RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR as bits of a bind mask. */
const LINK_GROUPS_MASK = (1 << 0) | (1 << 4) | (1 << 8);
const SETTLE_MS = 20;
const CHECK_MS = 1000;
/** A whole look at everything, whatever the notices said. */
const FULL_CHECKS_EVERY = 30;
const MINUTE_MS = 60_000;
const MAX_REPAIRS = 20;
const BACK_OFF_MS = 30_000;

export class Watcher {
  #rulesDue = false;
  #linksDue = false;
  #offender = "";
  #foreignCommits = 0;
  #timer: NodeJS.Timeout | undefined;
  #ticker: NodeJS.Timeout | undefined;
  #working = false;
  #ticks = 0;
  #repairTimes: number[] = [];
  #pausedUntil = 0;
  #stopped = false;

  constructor(private readonly parts: WatcherParts) {}

  async start(): Promise<void> {
    this.#stopped = false;
    await this.#watch();
    this.#ticker ??= setInterval(() => this.#tick(), CHECK_MS);
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#ticker);
    clearTimeout(this.#timer);
    this.#ticker = undefined;
    this.#timer = undefined;
  }

  /** keel has been started anew. */
  async resume(): Promise<void> {
    if (this.#stopped) return;
    await this.#watch();
    this.#linksDue = true;
    this.#rulesDue = true;
    this.#schedule();
  }

  notice(watchId: number, bytes: Buffer): void {
    if (this.#stopped) return;
    if (bytes.length === 0) {
      this.#rulesDue = true;
      this.#linksDue = true;
    } else if (watchId === RULES_WATCH) {
      this.#noticeRules(bytes);
    } else {
      this.#noticeLinks(bytes);
    }
    if (this.#rulesDue || this.#linksDue) this.#schedule();
  }

  async #watch(): Promise<void> {
    await this.parts.kernel.watch(RULES_WATCH, NETLINK_NETFILTER, NFTABLES_GROUP_MASK).catch((error: unknown) => {
      this.parts.log.warn("the kernel does not tell of changed rules", { error: messageOf(error) });
    });
    await this.parts.kernel.watch(LINKS_WATCH, NETLINK_ROUTE, LINK_GROUPS_MASK);
  }

  /** One notice is one commit; those that our own restores made are counted off. */
  #noticeRules(bytes: Buffer): void {
    for (const message of decodeMessages(bytes)) {
      const generation = decodeGeneration(message);
      if (!generation) continue;
      this.#foreignCommits++;
      if (!generation.process.startsWith("iptables-restor") && !generation.process.startsWith("ip6tables-resto")) {
        this.#offender = generation.process;
      }
    }
    this.#rulesDue = true;
  }

  #noticeLinks(bytes: Buffer): void {
    for (const message of decodeMessages(bytes)) {
      const link = decodeLink(message);
      const lost = decodeLostAddress(message);
      const broken = link !== undefined && this.parts.isOurBridge(link) && this.#isBroken(message.type, link);
      if (broken || (lost && this.parts.isOurBridge(lost))) this.#linksDue = true;
    }
  }

  #isBroken(type: number, link: Link): boolean {
    return type === RTM_DELLINK || !link.up || link.group !== this.parts.group;
  }

  #tick(): void {
    this.#ticks++;
    if (this.parts.pollsRules) this.#rulesDue = true;
    if (this.#ticks % FULL_CHECKS_EVERY === 0) {
      this.#rulesDue = true;
      this.#linksDue = true;
      this.#foreignCommits += 1;
    }
    if (this.#rulesDue || this.#linksDue) this.#schedule();
  }

  #schedule(): void {
    this.#timer ??= setTimeout(
      () => {
        this.#timer = undefined;
        void this.#work();
      },
      Math.max(SETTLE_MS, this.#pausedUntil - Date.now()),
    );
  }

  async #work(): Promise<void> {
    if (this.#working || this.#stopped) return;
    this.#working = true;
    try {
      const done: string[] = [];
      if (this.#linksDue) {
        this.#linksDue = false;
        done.push(...(await this.parts.healLinks()));
      }
      if (this.#rulesDue) done.push(...(await this.#rules()));
      if (done.length > 0) this.#repaired(done);
    } catch (error) {
      this.parts.log.error("a repair failed", { error: messageOf(error) });
    } finally {
      this.#working = false;
    }
  }

  async #rules(): Promise<string[]> {
    if (this.parts.isChangingRules()) {
      this.#schedule();
      return [];
    }
    this.#rulesDue = false;
    this.#foreignCommits -= this.parts.takeOwnCommits();
    const foreign = this.#foreignCommits > 0 || this.parts.pollsRules;
    this.#foreignCommits = 0;
    return foreign ? this.parts.healRules() : [];
  }

  #repaired(what: readonly string[]): void {
    const nowMs = Date.now();
    this.#repairTimes = [...this.#repairTimes.filter((at) => nowMs - at < MINUTE_MS), nowMs];
    this.parts.repaired(what, this.#offender);
    if (this.#repairTimes.length <= MAX_REPAIRS) return;
    this.#repairTimes = [];
    this.#pausedUntil = nowMs + BACK_OFF_MS;
    this.parts.backedOff(this.#offender);
  }
}
